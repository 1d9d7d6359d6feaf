/* mspeckv - the command line, and the orchestrator behind it. */
#include "orchestrator/command.h"

int main(int argc, char **argv)
{
    return command_main(argc, argv);
}
