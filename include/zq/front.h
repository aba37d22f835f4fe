/* room: front
 *
 * The front process: clients, HTTP, the cache, dispatch to workers. Started by super with the
 * control channel on ZQ_CONTROL_FD.
 */
#ifndef ZQ_FRONT_H
#define ZQ_FRONT_H

/* Runs until super asks to drain, and returns the exit status. Leaves the process at once when
 * super's end of the control channel closes. */
int zq_front_main(void);

#endif
