import { assertEquals, assertStringIncludes } from "@std/assert";
import { file } from "./emulator.ts";
import { runMachine } from "./system_guest.ts";
import { linuxFiles, makeInitrd, missingForLinux } from "./system_linux.ts";
import { testUnless } from "./tools.ts";

const EXPECTED = `guest: instruction: 42
guest: found: 42, MEMORY, 1000 events
guest: /sys/bus/pci/devices/0000:00:1f.0: 42, MEMORY, 1000 events
guest: /dev/mem: 42, MEMORY, 1000 events
status 0
`;

testUnless(
  missingForLinux(),
  "a program of Linux' init calls the host by instruction, PCI device and platform device",
  async () => {
    const files = await linuxFiles();
    const program = await Deno.readFile(file("guest/bin/riscv64/transports"));
    const init = await Deno.readTextFile(file("guest/examples/transports.init"));
    const initrd = await makeInitrd(files, init, [], [{ path: "bin/transports", bytes: program }]);
    const { output, reason } = await runMachine(
      {
        kernel: files.kernel,
        initrd,
        append: "console=ttyS0 quiet",
        memory: 256 << 20,
        backdoor: file("guest/examples/transports.ts"),
      },
      4e9,
    );
    assertEquals(reason, "poweroff", output);
    assertStringIncludes(output.replaceAll("\r", ""), EXPECTED);
  },
);
