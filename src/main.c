/* The process starts here; everything else is in cli/. */
#include "base/memory.h"
#include "cli/command.h"

int main(int argc, char **argv)
{
    dm_memory_setup();
    return dm_command_main(argc, argv);
}
