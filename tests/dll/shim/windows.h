/* See winsock2.h of this folder. */
