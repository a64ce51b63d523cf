/* `wyrm doctor`: looks for what commonly keeps a tunnel from working, and says what to do.  Changes nothing.
 */
#include "command.h"
#include "doctor.h"
#include "format.h"
#include "transport.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SESSION_END_S 180 /* Reject-After-Time: nothing is carried by an older session */

void doctor_note(struct examination *examination, enum grade grade, const char *subject, const char *remedy,
                 const char *format, ...)
{
    static const char *const grades[] = {"ok", "warning", "wrong"};
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct output *output = &examination->output;
    examination->wrong += grade == WRONG;
    if (examination->json) {
        output_text(output, "%s{\"subject\":", examination->count ? "," : "");
        format_json_string(output, subject);
        output_text(output, ",\"grade\":\"%s\",\"text\":", grades[grade]);
        format_json_string(output, text);
        output_text(output, ",\"remedy\":");
        if (grade != GOOD)
            format_json_string(output, remedy);
        else
            output_text(output, "null");
        output_text(output, "}");
    } else {
        output_text(output, "%-8s %s: %s\n", grades[grade], subject, text);
        if (grade != GOOD)
            output_text(output, "         -> %s\n", remedy);
    }
    examination->count++;
}

static void examine_peer(struct examination *examination, const struct device *device,
                         const struct device_peer *peer)
{
    char key[KEY_BASE64_LENGTH + 1] = "", who[64];
    key_to_base64(key, peer->public_key);
    snprintf(who, sizeof who, "%.40s peer %.8s...", device->name, key);
    if (!key_is_zero(device->private_key) && !memcmp(peer->public_key, device->public_key, KEY_LENGTH))
        doctor_note(examination, WRONG, who, "PublicKey is to be the other side's",
                    "its public key is this adapter's own");
    if (!peer->allowed_ips.count)
        doctor_note(examination, WARNING, who, "give AllowedIPs",
                    "it has no allowed IPs: nothing is sent to it");
    if (peer->endpoint.family)
        doctor_way(examination, device, peer, who);
    int64_t age = (int64_t)time(NULL) - peer->handshake_seconds;
    if (peer->handshake_seconds && age <= SESSION_END_S)
        doctor_note(examination, GOOD, who, "", "handshake %lld s ago", (long long)age);
    else if (!peer->endpoint.family)
        doctor_note(examination, WARNING, who, "wait for the peer, or give an Endpoint",
                    "it has no endpoint and no session: only the peer can begin");
    else if (!peer->handshake_seconds && peer->tx_bytes)
        doctor_note(
            examination, WRONG, who,
            "check Endpoint, the other side's port and firewall, and that both have each other's public key",
            "handshakes are sent and none was answered");
    else
        doctor_note(examination, GOOD, who, "",
                    "no session; none is needed until there is something to send");
}

static void examine_device(struct examination *examination, const struct device *device)
{
    bool ipv6 = false, key = !key_is_zero(device->private_key);
    for (size_t i = 0; i < device->peer_count; i++)
        for (size_t k = 0; k < device->peers[i].allowed_ips.count; k++)
            ipv6 = ipv6 || device->peers[i].allowed_ips.items[k].family == 6;
    doctor_note(examination, key ? GOOD : WRONG, device->name, "wyrm set NAME private-key FILE", "%s",
                key ? "has a private key" : "has no private key: no handshake is possible");
    if (!device->peer_count)
        doctor_note(examination, WARNING, device->name, "wyrm set NAME peer KEY ...", "has no peer");
    doctor_link(examination, device, ipv6);
    for (size_t i = 0; i < device->peer_count; i++)
        examine_peer(examination, device, &device->peers[i]);
}

static void examine_adapters(struct examination *examination, const char *only)
{
    struct failure failure;
    struct name_list names = {0};
    if (!transport_list(&names, &failure))
        doctor_note(examination, WRONG, "adapters", DOCTOR_ELEVATE, "%s", failure.text);
    if (!only && !names.count)
        doctor_note(examination, GOOD, "adapters", "", "there is none");
    for (size_t i = 0; i < (only ? 1 : names.count); i++) {
        const char *name = only ? only : names.items[i];
        struct device device = {0};
        if (transport_get(name, &device, &failure))
            examine_device(examination, &device);
        else
            doctor_note(examination, WRONG, name, "see what serves it, or begin anew: wyrm down, wyrm up",
                        "%s", failure.text);
        device_free(&device);
    }
    name_list_free(&names);
}

bool command_doctor(const struct invocation *invocation, struct failure *failure)
{
    struct examination examination = {.json = invocation->json};
    if (invocation->count > 1)
        return fail(failure, EXIT_USAGE, "doctor takes one adapter at most: wyrm doctor [NAME]");
    if (invocation->json)
        output_text(&examination.output, "{\"checks\":[");
    doctor_system(&examination);
    examine_adapters(&examination, invocation->count ? invocation->arguments[0] : NULL);
    if (invocation->json)
        output_text(&examination.output, "],\"wrong\":%u}\n", examination.wrong);
    if (!output_flush(&examination.output, failure))
        return false;
    if (examination.wrong)
        return fail(failure, EXIT_REFUSED, "%u of %u checks found something wrong", examination.wrong,
                    examination.count);
    return true;
}
