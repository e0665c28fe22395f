/**
 * Names of system mode's options, and its help.
 *
 * @module
 */

/** Options with a value that only system mode has. */
export const SYSTEM_STRINGS = [
  ...[
    "machine",
    "bios",
    "kernel",
    "initrd",
    "append",
    "drive",
    "net",
    "share",
    "device",
    "smp",
    "xlen",
    "virtio",
    "console",
    "save",
    "load",
  ],
];
/** Flags that only system mode has. */
export const SYSTEM_FLAGS = ["icount"];

/** The help's part on system mode. */
export const SYSTEM_HELP = `System mode: deno run -A mod.ts --machine virt [options] [program]

  --machine virt          a whole machine: the board "virt", as QEMU has it
  --bios FILE             firmware in M-mode, such as OpenSBI or U-Boot; none: the program itself runs in M-mode
                          (without --bios a built-in SBI serves the kernel)
  --kernel FILE           kernel or program: raw, ELF, or compressed with gzip; or name it as program
  --initrd FILE           initial RAM disk
  --append TEXT           kernel command line
  --drive FILE[:HOW]      disk image in raw form; HOW is ro, or snapshot (changes are forgotten)
  --net user[,OPTION...]  a network card; OPTION: hostfwd=tcp|udp:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT,
                          restrict=on (no way out), loopback=off (10.0.2.2 is not this host), dns=ADDR[:PORT]
  --share DIR[:TAG][:ro]  a host directory: mount -t 9p -o trans=virtio TAG /mnt (TAG: host0, host1... if left out)
  --device URL[,OPT=VAL]  a device of your own: a module whose default export is a class; may be given several times
  --virtio HOW            how disks and other virtio devices are reached: mmio (default) or pci
  --console HOW           where the terminal's input goes: serial (default), or virtio: a virtio console (console=hvc0)
  --smp N                 number of harts, 1 to 8 (default 1)
  --xlen N                64 or 32, where no image says it (default 64)
  --save FILE             save a snapshot there: when Ctrl-A s is typed, and when --max-instructions is reached
  --load FILE             go on where a snapshot was saved, instead of --kernel, --bios or a program
  --icount                time goes on with instructions: a run can be repeated
  --memory SIZE           RAM (default 256M, 64K to 1984M)
  --tier, --jobs, --max-instructions, --trace, --stats as above; Ctrl-A x ends the machine
`;
