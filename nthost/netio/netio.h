/* What the rest of the host may ask of the Winsock Kernel provider. */
#pragma once

/* The system takes all sockets away, as when its network stack restarts: each gets WskReceiveFromEvent with
 * no datagrams, and is of no use but to be closed.  Any thread of the host; it happens on the loop thread. */
void wsk_sockets_lost(void);
