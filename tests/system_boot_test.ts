import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { MachineError } from "../machine/program.ts";
import { SystemMachine } from "../machine/system/machine.ts";
import { MemoryDrive, SnapshotDrive } from "../machine/system/drive.ts";
import { createHash } from "node:crypto";
import { buildC, compilers, file, trapdoor } from "./emulator.ts";
import { echoServer, nameServer } from "./network_guest.ts";
import { runMachine } from "./system_guest.ts";
import { linuxFiles, LOAD_MODULES, makeInitrd, missingForLinux } from "./system_linux.ts";
import { testUnless, tool } from "./tools.ts";

const OPENSBI = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
const UBOOT = "/usr/lib/u-boot/qemu-riscv64/u-boot.bin";
const UBOOT_S = "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin";

/** Firmware files that are not there, with their packages. */
function missing(...paths: string[]): string[] {
  return paths.filter((path) => {
    try {
      Deno.statSync(path);
      return false;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return true;
    }
  }).map((path) => `${path} (Debian package ${path === OPENSBI ? "opensbi" : "u-boot-qemu"})`);
}

/** Typed at U-Boot: what stops its countdown, and commands. */
const DIALOGUE = [
  ["Hit any key", "\n"],
  ["=> ", "version\n"],
  ["=> ", "echo six times seven\n"],
  ["\nsix times seven", "poweroff\n"],
] as const;

testUnless(
  missing(OPENSBI, UBOOT_S),
  "virt runs Debian's OpenSBI and U-Boot in S-mode to a prompt that takes commands",
  async () => {
    const { output, reason } = await runMachine(
      {
        bios: OPENSBI,
        kernel: UBOOT_S,
        harts: 2,
        icount: true,
        memory: 256 << 20,
      },
      1_500_000_000,
      DIALOGUE,
    );
    assertMatch(output, /OpenSBI v\d/);
    assertMatch(output, /Platform HART Count +: 2\r?\n/);
    assertMatch(output, /Boot HART PMP Count +: 16\r?\n/);
    assertMatch(output, /DRAM: +256 MiB/);
    assertMatch(output, /=> version\r?\nU-Boot \d/);
    assertStringIncludes(output, "\nsix times seven");
    assertEquals(reason, "poweroff");
  },
);

testUnless(
  missing(UBOOT),
  "virt runs Debian's U-Boot in M-mode to a prompt that takes commands",
  async () => {
    const { output } = await runMachine(
      {
        bios: UBOOT,
        icount: true,
        memory: 256 << 20,
      },
      1_500_000_000,
      DIALOGUE,
    );
    assertStringIncludes(output, "\nsix times seven");
  },
);

/** An S-mode program: writes "hi" by the SBI console and powers off. */
const SUPERVISOR = new Uint32Array([
  0x06800513, // li a0, 'h'
  0x00100893, // li a7, 1 (console putchar)
  0x00000073, // ecall
  0x06900513, // li a0, 'i'
  0x00000073, // ecall
  0x00800893, // li a7, 8 (shutdown)
  0x00000073, // ecall
]);

Deno.test("the built-in SBI serves a supervisor when there is no firmware", async () => {
  const kernel = new Uint8Array(SUPERVISOR.buffer);
  for (const xlen of [64, 32] as const) {
    const { output, reason, status } = await runMachine({ kernel, xlen });
    assertEquals([output, reason, status], ["hi", "poweroff", 0]);
  }
});

Deno.test("SystemMachine.create refuses Linux for another width than it is told", async () => {
  /** A kernel with Linux' header and that of a PE file for a machine. */
  const linux = (machine: number) => {
    const bytes = new Uint8Array(128), view = new DataView(bytes.buffer);
    new Uint32Array(bytes.buffer).set(SUPERVISOR.subarray(0, 2));
    for (const [at, word] of [[56, 0x0543_5352], [60, 64], [64, 0x4550], [68, machine]]) {
      view.setUint32(at, word, true);
    }
    return bytes;
  };
  const kernel = linux(0x5064);
  for (const [image, wanted] of [[kernel, 32], [linux(0x5032), 64]] as const) {
    await assertRejects(
      () => SystemMachine.create({ kernel: image, xlen: wanted }),
      MachineError,
      `on a machine of ${wanted} bits, as --xlen says: it is for riscv${96 - wanted}`,
    );
  }
  for (const xlen of [64, undefined] as const) {
    const machine = await SystemMachine.create({ kernel, ...(xlen ? { xlen } : {}) });
    await machine.close();
  }
});

Deno.test("a run with icount is the same when it is repeated", async () => {
  const options = { kernel: new Uint8Array(SUPERVISOR.buffer), icount: true };
  const runs = [await runMachine(options), await runMachine(options)];
  assertEquals(runs[0], runs[1]);
});

Deno.test("the command line says what is wrong when a machine can't be made", async () => {
  const cases: [args: string[], message: string][] = [
    [["--machine", "pc", "x"], "--machine pc: virt is the only one"],
    [["--machine", "virt"], "a machine needs --kernel, --bios or a program"],
    [["--machine", "virt", "--kernel", "/nothing/here"], "there is no such file"],
    [["--machine", "virt", "a", "b"], "a machine has no arguments"],
    [["--machine", "virt", "--smp", "9", "a"], "--smp 9: one of 1, 2"],
    [["--machine", "virt", "--cwd", "/", "a"], "--cwd: not in system mode"],
    [["--machine", "virt", "--bios", "none"], "a machine needs --kernel"],
    [
      ["--machine", "virt", "--tier", "fast", "a"],
      "--tier fast: one of auto, interp, wasm, native",
    ],
    [["--machine", "virt", "--strace", "a"], "--strace: not in system mode"],
    [["--icount", "--kernel", "mod.ts", "--memory", "1M"], "give more with --memory"],
    [["--kernel", "mod.ts", "--initrd", "/nothing"], "there is no such file"],
    [["--kernel", "mod.ts", "--drive", "/nothing:ro"], "Cannot open the disk /nothing"],
    [["--kernel", "mod.ts", "--share", "/nothing"], "Cannot share /nothing"],
    [["--kernel", "mod.ts", "--net", "tap"], 'there is no kind "tap"'],
    [
      ["--kernel", "guest/bin/riscv32/hello", "--xlen", "64"],
      "guest/bin/riscv32/hello on a machine of 64 bits, as --xlen says: it is for riscv32",
    ],
    [["--kernel", "mod.ts", "--drive", "LICENSE:ro"], "truncate -s %512 LICENSE"],
    [
      ["--bios", "mod.ts", "--kernel", "guest/bin/riscv32/hello"],
      "guest/bin/riscv32/hello at 0x10000: the firmware is there",
    ],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await trapdoor(args);
    assert(code === 1 || code === 2, `${args}: ${code}`);
    assertStringIncludes(stderr, message);
  }
});

Deno.test("the command line gives the guest's status when it powers off with one", async () => {
  const folder = await Deno.makeTempDir();
  try {
    // li a0, 0x100000; li a1, 7 << 16 | 0x3333; sw a1, 0(a0); j .
    const code = [0x00100537, 0x000735b7, 0x33358593, 0x00b52023, 0x0000006f];
    await Deno.writeFile(`${folder}/raw`, new Uint8Array(new Uint32Array(code).buffer));
    const dump = ["--tier", "wasm", "--dump-wasm", `${folder}/dump`];
    const ran = await trapdoor(["--machine", "virt", "--bios", "none", ...dump, `${folder}/raw`]);
    assertEquals([ran.code, ran.stderr], [7, ""]);
    const listing = await Deno.readTextFile(`${folder}/dump/region_80000000.txt`);
    assertStringIncludes(listing, "80000000: lui a0,0x100 ");
    const limit = ["--max-instructions", "1000", "--machine", "virt", "--bios", "none"];
    await Deno.writeFile(`${folder}/loop`, new Uint8Array(new Uint32Array([0x6f]).buffer));
    const limited = await trapdoor([...limit, `${folder}/loop`]);
    assertEquals(limited.code, 124);
    assertMatch(limited.stderr, /stopped after 1\d\d\d instructions/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /mnt
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin
${LOAD_MODULES}
echo "harts: $(grep -c ^processor /proc/cpuinfo)"
mke2fs /dev/vda >/dev/null 2>&1 && mount -t ext4 /dev/vda /mnt && echo "written by the guest" > /mnt/text
sync; umount /mnt; mount -t ext4 -o ro /dev/vda /mnt && cat /mnt/text; umount /mnt
echo "read-only: $(cat /sys/block/vda/ro)$(cat /sys/block/vdb/ro)$(cat /sys/block/vdc/ro)"
echo "never seen outside" > /dev/vdc; sync
mkdir /etc /share /www
mount -t 9p -o trans=virtio,version=9p2000.L work /share
. /share/config
cp /share/config /share/copy; mkdir /share/made; mv /share/copy /share/made/moved
cat /share/out || echo "no way out"
ip link set lo up; ip link set eth0 up
udhcpc -q -n -i eth0 -s /share/lease >/dev/null 2>&1
ip -4 -o addr show dev eth0 | grep -o "inet [0-9.]*"
ping -c 1 10.0.2.2 | grep received
nslookup known.example | grep 1.2.3.4
wget -q -O - http://10.0.2.2:$WEB/text | md5sum
echo "through the gateway" | nc 10.0.2.2 $ECHO
cat /proc/device-tree/soc/dice@11000000/compatible; echo
echo "served by the guest" > /www/index.html
httpd -p 80 -h /www
/bin/call
until [ -e /share/fetched ]; do sleep 0.1; done
echo "READY"
exec setsid cttyhack sh
`;

const MODULES = "virtio_mmio virtio_blk crc32c_generic ext4 virtio_net 9pnet_virtio 9p".split(" ");

/** What busybox's DHCP client runs. */
const LEASE = `#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip addr add $ip/24 dev $interface
ip route add default via $router
echo nameserver $dns > /etc/resolv.conf
`;

/** A Linux program that calls the host without any set-up. */
const CALLER = `
#include <stdio.h>
#include <string.h>
#include "trapdoor.h"
int main(void) {
  char *text = strdup("a string on the heap of a Linux process");
  printf("the host says %d\\n", (int)trapdoor_raw_call(1, (int64_t)(intptr_t)text, 0, 0, 0));
  return 0;
}
`;

testUnless(
  [...missingForLinux(), ...compilers("x.c").filter((name) => tool(name) === undefined)],
  "virt boots Debian's Linux with two harts to a shell, with disks, network, a shared directory, backdoor",
  async () => {
    const files = await linuxFiles();
    const call = await Deno.readFile(await buildC(CALLER));
    const initrd = await makeInitrd(files, INIT, MODULES, [{ path: "bin/call", bytes: call }]);
    const body = new Uint8Array(300_000).map((_, i) => i * i >> 3);
    const web = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      return new Response(request.url.endsWith("/text") ? body : "wrong");
    });
    await using echo = echoServer();
    const names = await nameServer(), share = await Deno.makeTempDir();
    await Deno.writeTextFile(`${share}/config`, `WEB=${web.addr.port} ECHO=${echo.port}\n`);
    await Deno.writeTextFile(`${share}/lease`, LEASE);
    await Deno.chmod(`${share}/lease`, 0o755);
    await Deno.symlink("/etc/hostname", `${share}/out`);
    // A port that is free.
    const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 }), forward = probe.addr.port;
    probe.close();
    let fetched = "";
    const fetchFromGuest = async () => {
      const response = await fetch(`http://127.0.0.1:${forward}/`);
      fetched = `${response.status} ${await response.text()}`;
      await Deno.writeTextFile(`${share}/fetched`, "");
    };
    const texts: string[] = [];
    const disk = new MemoryDrive(new Uint8Array(8 << 20));
    const base = new MemoryDrive(new Uint8Array(1 << 20));
    try {
      const { output, reason } = await runMachine(
        {
          // To compile at once what a kernel executes once takes many minutes.
          tier: "auto",
          kernel: files.kernel,
          initrd,
          append: "console=ttyS0 quiet",
          harts: 2,
          memory: 256 << 20,
          drives: [
            disk,
            new MemoryDrive(new Uint8Array(1 << 20), "read-only", true),
            new SnapshotDrive(base),
          ],
          network: `user,dns=127.0.0.1:${names.port},hostfwd=tcp::${forward}-:80`,
          shares: [`${share}:work`],
          devices: [file("guest/examples/dice.ts")],
          backdoor: {
            call: (cpu, _command, address) => {
              texts.push(cpu.memory.readCString(address));
              void fetchFromGuest();
              return texts[0].length;
            },
          },
        },
        6e9,
        [["~ #", "expr 6 '*' 7; uname -m; poweroff -f\n"]],
      );
      const printed = output.replaceAll("\r", "");
      assertEquals(reason, "poweroff", printed);
      assertStringIncludes(printed, "harts: 2");
      assertEquals(texts, ["a string on the heap of a Linux process"]);
      assertStringIncludes(printed, "\nthe host says 39");
      assertStringIncludes(printed, "\nwritten by the guest");
      assertMatch(printed, /\n42\nriscv64\n/);
      const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);
      assertStringIncludes(text(disk.bytes), "written by the guest");
      assertStringIncludes(printed, "\nread-only: 010\n");
      assertEquals(base.bytes.every((byte) => byte === 0), true);
      const config = await Deno.readTextFile(`${share}/config`);
      assertEquals(await Deno.readTextFile(`${share}/made/moved`), config);
      assertStringIncludes(printed, "\nno way out\n");
      assertStringIncludes(printed, "\ninet 10.0.2.15\n");
      assertStringIncludes(printed, "1 packets received");
      assertMatch(printed, /Address: +1\.2\.3\.4\n/);
      assertStringIncludes(printed, createHash("md5").update(body).digest("hex"));
      assertStringIncludes(printed, "\nthrough the gateway\n<20>");
      assertStringIncludes(printed, "example,dice");
      assertEquals(fetched, "200 served by the guest\n");
    } finally {
      names.close();
      await web.shutdown();
      await Deno.remove(share, { recursive: true });
    }
  },
);
