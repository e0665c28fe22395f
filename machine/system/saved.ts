/**
 * What a snapshot says a machine was made of, and what has to be there to make it again.
 *
 * @module
 */
import type { ChannelGeometry } from "../../backdoor/protocol.ts";
import { MAX_HARTS } from "../../mmu/softmmu.ts";
import type { BootImages, Image } from "./boot.ts";
import type { Drive } from "./drive.ts";
import { SnapshotError } from "./snapshot.ts";
import { StateError, type StateReader } from "./state.ts";

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
    throw new StateError(`the machine had ${hasConsole ? "a" : "no"} virtio console`);
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
