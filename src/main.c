/* The process starts here; everything else is in cli/. */
#include "cli/command.h"

int main(int argc, char **argv)
{
    return dm_command_main(argc, argv);
}
