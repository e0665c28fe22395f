#!/bin/sh
# The backdoor from a guest's shell: no compiler, no library. Run it in the guest, with the emulator's
# --backdoor guest/examples/hello.ts; --backdoor-path moves the file.
#
# Write a line "COMMAND ARG...": numbers, decimal or 0x..., or the name of a command if the module names them.
# Then read a line: "ok RESULT", "unknown" (no such command), "threw" (the callback) or "invalid: REASON".
call=${1:-/dev/trapdoor/call}

if ! [ -e "$call" ]; then
  echo "guest: nobody answers"
  exit 1
fi

# One open file for both directions: the answer belongs to whoever asked.
exec 3<>"$call"
echo "1 5" >&3
read -r status result <&3
echo "guest: status $status, result $result"

# In a hurry: the call without its answer.
echo "1 0x10" > "$call"
