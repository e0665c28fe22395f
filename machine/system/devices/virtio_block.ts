/**
 * A virtio block device.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 5.2.
 *
 * @module
 */
import { type Drive, SECTOR } from "../drive.ts";
import type { Chain, VirtioDevice, VirtioHost } from "./virtio.ts";

const FEATURE_RO = 1n << 5n, FEATURE_FLUSH = 1n << 9n, FEATURE_SEG_MAX = 1n << 2n;
const IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8;
const OK = 0, IO_ERROR = 1, UNSUPPORTED = 2;
const HEADER = 16, ID_BYTES = 20, SEGMENTS = 126;

/** A disk. */
export class VirtioBlock implements VirtioDevice {
  readonly id = 2;
  readonly queues = 1;
  readonly features: bigint;
  readonly config = new Uint8Array(64);
  readonly #drive: Drive;
  #host: VirtioHost | undefined;

  constructor(drive: Drive) {
    this.#drive = drive;
    this.features = FEATURE_FLUSH | FEATURE_SEG_MAX | (drive.readOnly ? FEATURE_RO : 0n);
    const view = new DataView(this.config.buffer);
    view.setBigUint64(0, BigInt(drive.sectors), true);
    view.setUint32(12, SEGMENTS, true);
  }

  start(host: VirtioHost): void {
    this.#host = host;
  }

  notify(queue: number): void {
    for (;;) {
      const chain = this.#host?.pop(queue);
      if (!chain) return;
      this.#host!.push(queue, chain, this.#request(chain));
    }
  }

  /** Serves a request; returns the bytes that were written to the guest. */
  #request(chain: Chain): number {
    const room = chain.writeLength - 1;
    // Without room for the status there is nobody to tell.
    if (room < 0) return 0;
    let written = 0, status: number;
    if (chain.readLength < HEADER) status = IO_ERROR;
    else {
      const view = new DataView(chain.read(0, HEADER).buffer);
      const type = view.getUint32(0, true), sector = Number(view.getBigUint64(8, true));
      try {
        [status, written] = this.#serve(chain, type, sector, room);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        console.error(`trapdoor: ${error.message}`);
        status = IO_ERROR;
      }
    }
    chain.write(Uint8Array.of(status), room);
    return written + 1;
  }

  #inRange(sector: number, bytes: number): boolean {
    return bytes % SECTOR === 0 && sector + bytes / SECTOR <= this.#drive.sectors;
  }

  #serve(
    chain: Chain,
    type: number,
    sector: number,
    room: number,
  ): [status: number, written: number] {
    const drive = this.#drive;
    switch (type) {
      case IN: {
        if (!this.#inRange(sector, room)) return [IO_ERROR, 0];
        const buffer = new Uint8Array(room);
        drive.read(sector, buffer);
        return [OK, chain.write(buffer)];
      }
      case OUT: {
        const length = chain.readLength - HEADER;
        if (drive.readOnly || !this.#inRange(sector, length)) return [IO_ERROR, 0];
        drive.write(sector, chain.read(HEADER));
        return [OK, 0];
      }
      case FLUSH:
        drive.flush();
        return [OK, 0];
      case GET_ID: {
        const id = new Uint8Array(Math.min(ID_BYTES, room));
        id.set(new TextEncoder().encode("trapdoor").subarray(0, id.length));
        return [OK, chain.write(id)];
      }
      default:
        return [UNSUPPORTED, 0];
    }
  }
}
