import { assertEquals, assertStringIncludes } from "@std/assert";
import { file } from "./emulator.ts";
import { runMachine } from "./system_guest.ts";
import { linuxFiles, LOAD_MODULES, makeInitrd, missingForLinux } from "./system_linux.ts";
import { testUnless } from "./tools.ts";

const EXPECTED = `guest: instruction: 42
guest: found: 42, MEMORY, 1000 events
guest: /sys/bus/pci/devices/0000:00:1f.0: 42, MEMORY, 1000 events
guest: /dev/mem: 42, MEMORY, 1000 events
status 0
`;

const MODULES = ["virtio_net", "9pnet_virtio", "9p"];

/** Then the card and the directory, which are PCI devices here. */
const MORE = `
${LOAD_MODULES}
/bin/busybox mkdir /share
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L host0 /share
/bin/busybox cat /share/text; echo "from the guest" > /share/answer
/bin/busybox ip link set eth0 up; /bin/busybox ip addr add 10.0.2.15/24 dev eth0
/bin/busybox ping -c 1 10.0.2.2 | /bin/busybox grep received
/bin/busybox poweroff -f
`;

testUnless(
  missingForLinux(),
  "a program of Linux' init calls the host by instruction, PCI device and platform device",
  async () => {
    const files = await linuxFiles();
    const program = await Deno.readFile(file("guest/bin/riscv64/transports"));
    const init = await Deno.readTextFile(file("guest/examples/transports.init"));
    const more = init.replace(/\n.*poweroff -f\n$/, MORE);
    const initrd = await makeInitrd(files, more, MODULES, [
      { path: "bin/transports", bytes: program },
    ]);
    const share = await Deno.makeTempDir();
    await Deno.writeTextFile(`${share}/text`, "from the host\n");
    const { output, reason } = await runMachine(
      {
        kernel: files.kernel,
        initrd,
        append: "console=ttyS0 quiet",
        memory: 256 << 20,
        virtio: "pci",
        network: "user",
        shares: [share],
        backdoor: file("guest/examples/transports.ts"),
      },
      4e9,
    );
    assertEquals(reason, "poweroff", output);
    const printed = output.replaceAll("\r", "");
    assertStringIncludes(printed, EXPECTED);
    assertStringIncludes(printed, "from the host\n");
    assertStringIncludes(printed, "1 packets received");
    assertEquals(await Deno.readTextFile(`${share}/answer`), "from the guest\n");
    await Deno.remove(share, { recursive: true });
  },
);
