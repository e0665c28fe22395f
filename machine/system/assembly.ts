/**
 * Puts a machine together: a board with all that options want on it, loaded or to be restored.
 *
 * @module
 */
import type { SystemCpu } from "../../cpu/engine/system/cpu.ts";
import type { WasmTier, WasmTierOptions } from "../../cpu/wasm/tier.ts";
import { nativeTier } from "../native.ts";
import { MachineError } from "../program.ts";
import { instructionLine } from "../trace.ts";
import type { Host } from "../user/host.ts";
import { type BackdoorPlan, channelNode, SystemBackdoor } from "./backdoor.ts";
import { boot, type BootImages } from "./boot.ts";
import type { Console } from "./console.ts";
import type { Finish } from "./devices/finisher.ts";
import type { VirtioDevice } from "./devices/virtio.ts";
import { VirtioBlock } from "./devices/virtio_block.ts";
import { VirtioConsole } from "./devices/virtio_console.ts";
import { VirtioEntropy } from "./devices/virtio_entropy.ts";
import type { Drive } from "./drive.ts";
import type { SystemMachineOptions } from "./options.ts";
import type { Peripherals } from "./peripherals.ts";
import { Sbi } from "./sbi.ts";
import { VirtBoard, VIRTIO_SLOTS } from "./virt.ts";

/** What stays when the machine restarts. */
export interface Parts {
  readonly options: SystemMachineOptions;
  readonly images: BootImages;
  readonly host: Host;
  readonly console: Console;
  readonly drives: readonly Drive[];
  readonly peripherals: Peripherals;
  readonly plan: BackdoorPlan | undefined;
  readonly tier: SystemTierFactory | undefined;
  readonly xlen: 32 | 64;
}

/** The wasm tier, loaded only if it is wanted, with its options. */
export interface SystemTierFactory {
  readonly Tier: typeof WasmTier;
  /** Options for a CPU that disassembles. */
  options(cpu: SystemCpu): WasmTierOptions;
}

/** What parts of a machine ask of it. */
export interface Wishes {
  finish(how: Finish): void;
  stop(status: number): void;
  save(path: string | URL): Promise<void>;
  /** Instructions of all harts, since the machine was made. */
  instructions(): number;
}

/** A board and what belongs to it. */
export interface Assembly {
  readonly board: VirtBoard;
  /** The native tier, which nobody has asked for yet. */
  readonly native: ReturnType<typeof nativeTier>;
  readonly backdoor: SystemBackdoor | undefined;
  /** Harts that nobody has started, or that stopped. */
  readonly stopped: boolean[];
  /** Gives the serial port, or the virtio console if it is the terminal's, what there is room for. */
  feed(): void;
}

const DEFAULT_MEMORY = 256 << 20;

/**
 * Makes a board.
 *
 * @param fresh Whether it is to be loaded, not restored.
 * @throws {MachineError | RangeError} If something has no room.
 */
export function assemble(parts: Parts, wishes: Wishes, fresh: boolean): Assembly {
  const { options, images, console: terminal, peripherals, plan, tier } = parts;
  const { report = (message: string) => console.error(message), note } = options;
  const random = (n: number) => {
    const bytes = new Uint8Array(n);
    // A repeatable run has nothing that differs between runs.
    if (!options.icount) parts.host.random(bytes);
    return bytes;
  };
  const hvc = virtioConsole(parts);
  const board = new VirtBoard({
    xlen: parts.xlen,
    harts: options.harts ?? 1,
    memory: options.memory ?? DEFAULT_MEMORY,
    icount: options.icount ?? false,
    ...(options.tier === "wasm" || options.tier === "native" ? { heat: 0 } : {}),
    send: (byte) => terminal.send(byte),
    finish: (how) => wishes.finish(how),
    virtio: virtioDevices(parts, hvc, random),
    platform: peripherals.platform(),
    transport: options.virtio ?? "mmio",
    behind: plan?.bytes ?? 0,
    nodes: plan ? [channelNode(plan.layout)] : [],
  });
  const { cpu, uart } = board;
  const backdoor = plan && new SystemBackdoor(board, plan, {
    ...{ report, note },
    errors: options.backdoorErrors,
    stop: (status) => wishes.stop(status),
    save: (path) => {
      wishes.save(path).catch((error) => report(error.message));
    },
    instructions: () => wishes.instructions(),
  });
  const { arena } = board.bus.ram;
  if (tier) cpu.addTier((services) => new tier.Tier(arena, services, tier.options(cpu)));
  const native = nativeTier(cpu, arena, undefined, options);
  if (fresh) boot(board, images, random);
  const builtIn = images.bios === undefined, typed = options.virtioConsole === "terminal" && hvc;
  const stopped = board.harts.map((_, id) => builtIn && id > 0);
  if (builtIn) {
    const sbi = new Sbi({
      ...{ board, stopped },
      finish: (how) => wishes.finish(how),
      send: (byte) => terminal.send(byte),
      receive: () => typed ? -1 : terminal.receive(),
    });
    cpu.onSyscall = () => sbi.call();
  }
  const feed = () => {
    const to = typed || uart;
    while (terminal.pending && to.room > 0) to.receive(terminal.receive());
  };
  cpu.onPoll = () => {
    board.poll();
    feed();
  };
  const { trace } = options, digits = board.xlen / 4;
  if (trace) {
    cpu.trace = (pc) => trace(`${cpu.current.hart.id} ${instructionLine(cpu, pc, digits)}`);
  }
  return { board, native, backdoor, stopped, feed };
}

/** The virtio console, if there is to be one. */
function virtioConsole({ options, console: terminal }: Parts): VirtioConsole | undefined {
  const { virtioConsole: to } = options;
  if (to === undefined) return undefined;
  return new VirtioConsole(
    to === "terminal"
      ? (bytes) => {
        for (const byte of bytes) terminal.send(byte);
      }
      : to,
  );
}

function virtioDevices(
  { drives, options, peripherals }: Parts,
  hvc: VirtioConsole | undefined,
  random: (n: number) => Uint8Array,
): VirtioDevice[] {
  const devices: VirtioDevice[] = drives.map((drive) => new VirtioBlock(drive));
  devices.push(new VirtioEntropy(random));
  if (hvc) devices.push(hvc);
  devices.push(...peripherals.virtio());
  const places = VIRTIO_SLOTS[options.virtio ?? "mmio"];
  if (devices.length > places) {
    throw new MachineError(
      `Cannot add ${devices.length} virtio devices: there are ${places} places`,
    );
  }
  return devices;
}
