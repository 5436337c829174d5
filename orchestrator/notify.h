/* What systemd is told (sd_notify(3)): a datagram to $NOTIFY_SOCKET, where there is one. */
#pragma once
#include <stdbool.h>

/* notify_send(lines): "READY=1", "STATUS=…", "WATCHDOG=1", a line each. true: somebody took it. */
bool notify_send(const char *lines);
/* notify_watchdog(): systemd waits for signs of life of this process. */
bool notify_watchdog(void);
