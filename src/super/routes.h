/* room: super
 *
 * `zq routes`: what an application declares. What comes behind the command's name; the exit status:
 * 0, 1 when it failed, 2 for a wrong command line.
 */
#ifndef ZQ_SUPER_ROUTES_H
#define ZQ_SUPER_ROUTES_H

int zq_command_routes(int argc, char **argv);

#endif
