/*
 * command.h - the commands of the program mspeckv.
 *
 * Each takes its own arguments (argv[0] is the command's word), prints its one
 * line on failure and returns the exit status: 0 done, 1 failed, 2 usage.
 */
#ifndef ORCHESTRATOR_COMMAND_H
#define ORCHESTRATOR_COMMAND_H

/* Looks argv[1] up and runs it. */
int command_main(int argc, char **argv);

int command_run(int argc, char **argv);
int command_generate(int argc, char **argv);
int command_tokenize(int argc, char **argv);
int command_dataset(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_report(int argc, char **argv);
int command_part(int argc, char **argv);
int command_gather(int argc, char **argv);
int command_synth(int argc, char **argv);

extern const char command_version[]; /* "0.1.0" */
extern const char command_commit[];  /* of the checkout it was built from; "" without one */

#endif
