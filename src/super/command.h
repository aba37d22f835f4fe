/* room: super
 *
 * `zq purge`, `zq cache` and `zq routes --live`: what they ask a running zq over its admin socket.
 * What comes behind the command's name; the exit status: 0, 1 when it failed, 2 for a wrong command
 * line.
 */
#ifndef ZQ_SUPER_COMMAND_H
#define ZQ_SUPER_COMMAND_H

int zq_command_purge(int argc, char **argv);
int zq_command_cache(int argc, char **argv);
/* `zq routes --live`, without that word. */
int zq_command_live_routes(int argc, char **argv);

#endif
