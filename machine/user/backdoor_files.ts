/**
 * The backdoor's files in the guest's name space: BASE/config, BASE/data and BASE/control to map, BASE/call for
 * shells.
 *
 * @module
 */
import type { AreaName } from "../../backdoor/areas.ts";
import type { BackdoorChannel } from "../../backdoor/channel.ts";
import type { BackdoorCpu } from "../../backdoor/cpu.ts";
import { TextCalls } from "../../backdoor/text.ts";
import { E } from "./errno.ts";
import { Mode } from "./host.ts";
import type { Linux } from "./linux.ts";
import type { VirtualFile } from "./virtual.ts";

const MAP_SHARED = 1;
const MAP_FIXED = 0x10;
const PROT_WRITE = 2;
const PROT_EXEC = 4;

/** A file that shows one area; it is mapped at the area's own address, whole. */
function areaFile(channel: BackdoorChannel, area: AreaName): VirtualFile {
  const { areas } = channel;
  const size = () => areas.size(area);
  return {
    mode: Mode.FILE | (area === "config" ? 0o444 : 0o666),
    size,
    open: () => ({
      seekable: true,
      size,
      mmap(offset, length, prot, flags, hint) {
        const address = areas.addresses[area];
        if ((flags & MAP_SHARED) === 0 || prot & PROT_EXEC) return -E.EINVAL;
        if (area === "config" && prot & PROT_WRITE) return -E.EACCES;
        // One arena, one place: the area can't appear at a second address.
        if (flags & MAP_FIXED && hint !== address + offset) return -E.EINVAL;
        if (offset + length > Math.ceil(size() / 4096) * 4096) return -E.EINVAL;
        return areas.map(area) + offset;
      },
    }),
  };
}

/** The file for shells: a line written is a call, a line read its answer. */
function callFile(channel: BackdoorChannel, cpu: BackdoorCpu): VirtualFile {
  return {
    mode: Mode.CHAR | 0o666,
    open() {
      const calls = new TextCalls(channel, cpu);
      return {
        write(bytes) {
          const later = calls.write(bytes);
          return later ? later.then(() => bytes.length) : bytes.length;
        },
        read(buffer) {
          const bytes = calls.read(buffer.length);
          buffer.set(bytes);
          return bytes.length;
        },
        close() {
          calls.end();
        },
      };
    },
  };
}

/** Adds the channel's files under the base path, and keeps the guest from using the areas' place for anything else. */
export function addBackdoorFiles(
  linux: Linux,
  channel: BackdoorChannel,
  cpu: BackdoorCpu,
  base: string,
): void {
  for (const area of ["config", "data", "control"] as const) {
    linux.addFile(`${base}/${area}`, areaFile(channel, area));
    linux.kernel.map.reserve(channel.areas.addresses[area], channel.areas.size(area));
  }
  linux.addFile(`${base}/call`, callFile(channel, cpu));
}
