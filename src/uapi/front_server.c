/* Listening and connection threads (see front_server.h). */
#include "front_server.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FRONT_CONNECTIONS_MAX 64

struct front_connection {
    struct front *front;
    struct front_connection *next;
    pthread_t thread;
    int fd;
    bool ended; /* the thread is about to return and can be joined */
};

struct front {
    const struct front_service *service;
    void *context;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    int listener;
    int stop; /* eventfd: front_close() was called */
    pthread_t thread;
    pthread_mutex_t lock; /* connections and their `ended` */
    struct front_connection *connections;
    unsigned connection_count; /* acceptor only */
};

size_t front_read_some(int fd, void *data, size_t length)
{
    ssize_t got;
    do {
        got = read(fd, data, length);
    } while (got < 0 && errno == EINTR);
    return got > 0 ? (size_t)got : 0;
}

bool front_read_all(int fd, void *data, size_t length)
{
    for (size_t done = 0, got; done < length; done += got) {
        got = front_read_some(fd, (char *)data + done, length - done);
        if (!got)
            return false;
    }
    return true;
}

bool front_write_all(int fd, const void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t put = send(fd, (const char *)data + done, length - done, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

static void *connection_main(void *argument)
{
    struct front_connection *connection = argument;
    struct front *front = connection->front;
    front->service->serve(front->context, connection->fd);
    shutdown(connection->fd, SHUT_RDWR); /* the client sees the end now, the number is freed at the join */
    pthread_mutex_lock(&front->lock);
    connection->ended = true;
    pthread_mutex_unlock(&front->lock);
    return NULL;
}

/* Joins the connections that ended, or all of them. */
static void connections_reap(struct front *front, bool all)
{
    for (;;) {
        pthread_mutex_lock(&front->lock);
        struct front_connection **link = &front->connections;
        while (*link && !all && !(*link)->ended)
            link = &(*link)->next;
        struct front_connection *connection = *link;
        if (connection)
            *link = connection->next;
        pthread_mutex_unlock(&front->lock);
        if (!connection)
            return;
        if (all)
            shutdown(connection->fd, SHUT_RDWR);
        pthread_join(connection->thread, NULL);
        close(connection->fd);
        free(connection);
        front->connection_count--;
    }
}

static void connection_start(struct front *front, int fd)
{
    struct front_connection *connection = calloc(1, sizeof *connection);
    if (!connection || front->connection_count >= FRONT_CONNECTIONS_MAX) {
        front->service->warn("%s: connection refused: %s", front->path,
                             connection ? "too many connections" : "out of memory");
        free(connection);
        close(fd);
        return;
    }
    connection->front = front;
    connection->fd = fd;
    pthread_mutex_lock(&front->lock);
    int error = pthread_create(&connection->thread, NULL, connection_main, connection);
    if (!error) {
        connection->next = front->connections;
        front->connections = connection;
        front->connection_count++;
    }
    pthread_mutex_unlock(&front->lock);
    if (error) {
        front->service->warn("%s: connection refused: no thread for it: %s", front->path, strerror(error));
        free(connection);
        close(fd);
    }
}

static void *acceptor_main(void *argument)
{
    struct front *front = argument;
    struct pollfd polls[2] = {{.fd = front->listener, .events = POLLIN},
                              {.fd = front->stop, .events = POLLIN}};
    for (;;) {
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            break;
        if (polls[1].revents)
            break;
        connections_reap(front, false);
        if (!polls[0].revents)
            continue;
        int fd = accept4(front->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            connection_start(front, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            poll(&polls[1], 1, 100); /* nothing to be done but wait until something is closed */
    }
    return NULL;
}

/* Makes way for the socket file.  0 or a negative errno. */
static int path_claim(const struct sockaddr_un *address, char *error, unsigned size)
{
    struct stat status;
    if (lstat(address->sun_path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode)) {
        snprintf(error, size, "%s exists and is not a socket: remove it", address->sun_path);
        return -EEXIST;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0)
        close(fd);
    if (alive) {
        snprintf(error, size, "%s is served by another process: choose another name or end that process",
                 address->sun_path);
        return -EADDRINUSE;
    }
    unlink(address->sun_path);
    return 0;
}

static int listener_open(const char *directory, const struct sockaddr_un *address, int *listener, char *error,
                         unsigned size)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        snprintf(error, size, "cannot make the directory %s: %s", directory, strerror(errno));
        return -errno;
    }
    int result = path_claim(address, error, size);
    if (result)
        return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        snprintf(error, size, "cannot make a socket: %s", strerror(errno));
        return -errno;
    }
    /* The mode of the descriptor becomes the mode of the file, without touching the process's umask. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
        listen(fd, 128) < 0) {
        result = -errno;
        snprintf(error, size, "cannot listen on %s: %s", address->sun_path, strerror(errno));
        close(fd);
        return result;
    }
    *listener = fd;
    return 0;
}

int front_listen(const char *directory, const char *name, const char *suffix,
                 const struct front_service *service, void *context, struct front **front, char *error,
                 unsigned size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int result = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s%s", directory, name, suffix);
    if (result < 0 || (size_t)result >= sizeof address.sun_path) {
        snprintf(error, size, "the socket path %s/%s%s is longer than %zu bytes", directory, name, suffix,
                 sizeof address.sun_path - 1);
        return -ENAMETOOLONG;
    }
    struct front *made = calloc(1, sizeof *made);
    if (!made) {
        snprintf(error, size, "out of memory");
        return -ENOMEM;
    }
    made->service = service;
    made->context = context;
    memcpy(made->path, address.sun_path, sizeof made->path);
    pthread_mutex_init(&made->lock, NULL);
    made->stop = eventfd(0, EFD_CLOEXEC);
    if (made->stop < 0) {
        result = -errno;
        snprintf(error, size, "cannot make an event: %s", strerror(errno));
        goto free_front;
    }
    result = listener_open(directory, &address, &made->listener, error, size);
    if (result)
        goto close_stop;
    result = -pthread_create(&made->thread, NULL, acceptor_main, made);
    if (result) {
        snprintf(error, size, "cannot start the thread of %s: %s", made->path, strerror(-result));
        goto close_listener;
    }
    *front = made;
    return 0;

close_listener:
    close(made->listener);
    unlink(made->path);
close_stop:
    close(made->stop);
free_front:
    pthread_mutex_destroy(&made->lock);
    free(made);
    return result;
}

void front_close(struct front *front)
{
    if (!front)
        return;
    eventfd_write(front->stop, 1);
    pthread_join(front->thread, NULL);
    unlink(front->path);
    close(front->listener);
    connections_reap(front, true);
    close(front->stop);
    front->service->destroy(front->context);
    pthread_mutex_destroy(&front->lock);
    free(front);
}
