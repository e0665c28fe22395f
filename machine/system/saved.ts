/**
 * What a snapshot says a machine was made of, and what has to be there to make it again.
 *
 * @module
 */
import type { ChannelGeometry } from "../../backdoor/protocol.ts";
import { MAX_HARTS } from "../../mmu/softmmu.ts";
import type { Assembly, Parts } from "./assembly.ts";
import type { BootImages, Image } from "./boot.ts";
import type { Drive } from "./drive.ts";
import { SnapshotError } from "./snapshot.ts";
import { type State, StateError, type StateReader } from "./state.ts";

/** What a machine was made of, as options of it. */
export interface Made {
  xlen: 32 | 64;
  memory: number;
  harts: number;
  icount: boolean;
  virtio: "mmio" | "pci";
  append?: string;
}

/** Path of a file: URL. @throws {SnapshotError} For another one. */
export function fromFileUrl(url: URL): string {
  if (url.protocol !== "file:") throw new SnapshotError(`Cannot use ${url}: it is no file: URL`);
  return decodeURIComponent(url.pathname);
}

/** A snapshot's name, and its bytes as they come. */
export async function openSource(
  from: string | URL | Uint8Array,
): Promise<{ name: string; stream: ReadableStream<Uint8Array<ArrayBuffer>> }> {
  if (from instanceof Uint8Array) {
    return { name: "in memory", stream: new Blob([from as Uint8Array<ArrayBuffer>]).stream() };
  }
  const name = from instanceof URL ? fromFileUrl(from) : from;
  try {
    return { name, stream: (await Deno.open(name)).readable };
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const why = cause instanceof Deno.errors.NotFound
      ? "there is no such file"
      : cause instanceof Error
      ? cause.message
      : cause;
    throw new SnapshotError(`Cannot load the snapshot ${name}: ${why}`, { cause });
  }
}

/**
 * Everything but guest memory.
 *
 * @param name Of the snapshot, for messages.
 * @param run What the run loop keeps.
 * @throws {SnapshotError} If something can't be saved.
 */
export function machineState(
  name: string,
  { options, images, console, drives, peripherals, plan, xlen }: Parts,
  { board, backdoor, stopped }: Assembly,
  run: { past: number; turns: State },
): State {
  const { icount = false, virtio = "mmio", append, virtioConsole } = options;
  const { bios, kernel, initrd } = images;
  const image = (it: Image | undefined) => it ? { image: { name: it.name, bytes: it.bytes } } : {};
  const geometry = plan?.geometry;
  let attached: State;
  try {
    attached = peripherals.save();
  } catch (cause) {
    if (!(cause instanceof SnapshotError)) throw cause;
    throw new SnapshotError(`Cannot write the snapshot ${name}: ${cause.message}`, { cause });
  }
  return {
    made: {
      xlen,
      memory: board.memory,
      harts: board.harts.length,
      icount,
      virtio,
      virtioConsole: virtioConsole !== undefined,
      ...(append === undefined ? {} : { append }),
      ...(geometry ? { geometry: { ...geometry } } : {}),
    },
    images: {
      bios: bios === "none" ? bios : image(bios),
      kernel: image(kernel),
      initrd: image(initrd),
    },
    peripherals: attached,
    board: board.save(),
    ...(backdoor ? { backdoor: backdoor.save() } : {}),
    console: console.save(),
    stopped: stopped.slice(),
    ...run,
    drives: drives.map((drive) => ({
      sectors: drive.sectors,
      readOnly: drive.readOnly,
      ...(drive.save ? { content: drive.save() } : {}),
    })),
  };
}

/** Makes a new machine what another one was; guest memory has to be there. @throws {StateError} */
export function restoreMachine(
  tree: StateReader,
  { console, drives, peripherals }: Parts,
  { board, backdoor, stopped }: Assembly,
): void {
  board.restore(tree.at("board"));
  backdoor?.restore(tree.at("backdoor"));
  console.restore(tree.at("console"));
  const { length } = stopped;
  stopped.splice(0, length, ...tree.at("stopped").list(length).map((each) => each.boolean()));
  const saved = tree.at("drives").list(drives.length);
  drives.forEach((drive, i) => {
    const content = saved[i].at("content");
    if (content.present !== (drive.save !== undefined)) {
      throw new StateError(
        `disk ${i}, ${drive.name}, is ${
          content.present ? "a file, and its changes were saved" : "to be saved, and was a file"
        }: use the same kind of disk`,
      );
    }
    drive.restore?.(content);
  });
  peripherals.restore(tree.at("peripherals"));
}

/** Reads what a machine was made of, and whether the rest of it is there now. @throws {StateError} */
export function readMade(
  tree: StateReader,
  drives: readonly Drive[],
  options: { virtioConsole?: unknown; backdoor?: unknown },
): { made: Made; images: BootImages; geometry: ChannelGeometry | undefined } {
  const made = tree.at("made"), saved = tree.at("drives").list();
  if (saved.length !== drives.length) {
    throw new StateError(`the machine had ${saved.length} disks, and there are ${drives.length}`);
  }
  drives.forEach((drive, i) => {
    const sectors = saved[i].at("sectors").number();
    const readOnly = saved[i].at("readOnly").boolean();
    if (sectors === drive.sectors && readOnly === drive.readOnly) return;
    throw new StateError(
      `disk ${i} had ${sectors} sectors${
        readOnly ? ", read-only" : ""
      }, and ${drive.name} has ${drive.sectors}${drive.readOnly ? ", read-only" : ""}`,
    );
  });
  const hasConsole = made.at("virtioConsole").boolean();
  if (hasConsole !== (options.virtioConsole !== undefined)) {
    throw new StateError(
      hasConsole
        ? "the machine had a virtio console: say where it leads (--console virtio)"
        : "the machine had no virtio console: ask for none",
    );
  }
  const hasBackdoor = made.at("geometry").present;
  if (hasBackdoor !== (options.backdoor !== undefined)) {
    throw new StateError(
      hasBackdoor
        ? "the machine had a backdoor: name its callback module"
        : "the machine had no backdoor: name no callback module",
    );
  }
  const image = (from: StateReader): Image | undefined => {
    const it = from.at("image");
    return it.present ? { name: it.at("name").string(), bytes: it.at("bytes").bytes() } : undefined;
  };
  const images = tree.at("images"), bios = images.at("bios");
  const geometry = made.at("geometry"), append = made.at("append");
  return {
    made: {
      xlen: made.at("xlen").number(32, 64) === 64 ? 64 : 32,
      memory: made.at("memory").number(0, 2 ** 31 - 1),
      harts: made.at("harts").number(1, MAX_HARTS),
      icount: made.at("icount").boolean(),
      virtio: made.at("virtio").string() === "pci" ? "pci" : "mmio",
      ...(append.present ? { append: append.string() } : {}),
    },
    images: {
      bios: bios.isText ? "none" : image(bios),
      kernel: image(images.at("kernel")),
      initrd: image(images.at("initrd")),
      append: append.present ? append.string() : undefined,
    },
    geometry: hasBackdoor
      ? {
        maxClients: geometry.at("maxClients").number(),
        clientDataSize: geometry.at("clientDataSize").number(),
        ringSize: geometry.at("ringSize").number(),
      }
      : undefined,
  };
}
