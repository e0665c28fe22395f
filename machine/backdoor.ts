/**
 * The backdoor of a user-mode machine. A module of its own, so that machines without a backdoor don't load it.
 *
 * @module
 */
import { BackdoorChannel, type ErrorPolicy } from "../backdoor/channel.ts";
import { areasFrom, channelLayout } from "../backdoor/layout.ts";
import { loadCallbacks } from "../backdoor/loader.ts";
import { type ChannelGeometry, DEFAULT_GEOMETRY } from "../backdoor/protocol.ts";
import type { CallbackModule } from "../backdoor/types.ts";
import type { AddressSpace } from "../mmu/address_space.ts";
import { MachineError } from "./program.ts";
import { addBackdoorFiles } from "./user/backdoor_files.ts";
import type { LoadedProgram } from "./user/loader.ts";

/** What the user wants of the channel; all but `report` may be absent. */
export interface BackdoorOptions {
  geometry: ChannelGeometry | undefined;
  report: (message: string) => void;
  note: ((message: string) => void) | undefined;
  errors: ErrorPolicy | undefined;
}

/**
 * Loads the callbacks and places the channel's areas below the top of the mmap region.
 *
 * @throws {BackdoorModuleError} If the callbacks can't be used.
 * @throws {MachineError} If guest memory is full.
 */
export async function openBackdoor(
  callbacks: string | URL | CallbackModule,
  memory: AddressSpace,
  program: LoadedProgram,
  options: BackdoorOptions,
): Promise<{ channel: BackdoorChannel; addFiles: typeof addBackdoorFiles }> {
  const geometry = options.geometry ?? DEFAULT_GEOMETRY;
  const layout = channelLayout(geometry);
  const size = layout.configSize + layout.controlSize + layout.dataSize;
  const start = memory.findFree(size, program.brkStart, program.mmapEnd);
  if (start === undefined) {
    throw new MachineError(
      `Cannot place the backdoor's areas (${size} bytes): guest memory is full; give more with --memory`,
    );
  }
  const channel = new BackdoorChannel({
    memory,
    addresses: areasFrom(start, layout),
    geometry,
    callbacks: await loadCallbacks(callbacks),
    report: options.report,
    note: options.note ?? (() => {}),
    errors: options.errors ?? "report",
  });
  return { channel, addFiles: addBackdoorFiles };
}
