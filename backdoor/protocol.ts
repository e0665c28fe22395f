/**
 * The backdoor protocol, version 1: what guest and host agree on. The guest's header
 * `guest/include/trapdoor_protocol.h` is generated from this file, so the two can't drift.
 *
 * One protocol, three transports:
 *
 * 1. **Instruction.** One no-op encoding of the ISA. Register roles are abstract here (`kind`, `status`, `arg0`
 *    to `arg5`); the ISA says which registers they are (RISC-V: a7, a6, a0-a5). Before the instruction the guest
 *    puts {@linkcode Status.NOBODY} (all ones) in `status`; if it is still there afterwards, nobody answered.
 * 2. **Mapped channel.** Files `BASE/config` (read-only), `BASE/data` (memory) and `BASE/control` (a store to a
 *    slot's doorbell is the call), and `BASE/call` for shells (write a line, read the answer).
 * 3. **Ring.** In the data area, one a client: the guest appends events, the host drains them later.
 *
 * All words are little-endian. Values wider than a register of the guest go in two (low first).
 *
 * | kind       | in                                                         | out                                        |
 * |------------|------------------------------------------------------------|--------------------------------------------|
 * | HELLO      | arg0: guest's version                                      | arg0: host's version                       |
 * | CALL       | arg0: client, arg1: command, arg2-5: arguments             | arg0: result (32-bit guest: arg0 low, arg1 high) |
 * | ATTACH     |                                                            | arg0, 1, 2: addresses of config, data, control |
 * | DETACH     |                                                            |                                            |
 * | CALL_BLOCK | arg0: client, arg1: address of a control slot image        | as a doorbell store: result, status in memory |
 * | FLUSH      | arg0: client                                               | that client's ring is empty                |
 *
 * Commands are unsigned 32-bit numbers; in a wider register or word they may be zero- or sign-extended.
 * CALL_BLOCK leaves the same status in the status register, unless the pointer is wild: then only INVALID there.
 * FLUSH is answered OK whatever became of the events (what their callbacks throw is reported to the host's user), or
 * INVALID if the ring held nonsense; the ring is empty in any case. Where there is no result, result registers and
 * word stay as they are.
 *
 * On a 32-bit guest CALL carries two 64-bit arguments: (arg2, arg3) and (arg4, arg5); CALL_BLOCK carries all four.
 *
 * @module
 */

/** Protocol version, `major << 16 | minor`. Equal majors talk to each other. */
export const PROTOCOL_VERSION = 0x0001_0000;

/** First eight bytes of the config area. */
export const CONFIG_MAGIC = "TRAPDOOR";

/** Kinds of request of the instruction transport. */
export const Kind = {
  /** Is anybody there, and which version? */
  HELLO: 0,
  /** Call a command with arguments in registers. */
  CALL: 1,
  /** Map the three areas into the caller's address space. */
  ATTACH: 2,
  /** Unmap them. */
  DETACH: 3,
  /** Call a command with arguments in memory. */
  CALL_BLOCK: 4,
  /** Drain a client's ring now. */
  FLUSH: 5,
} as const;

/** Answers. Every request gets one. */
export const Status = {
  /** Handled; the result is valid. */
  OK: 0,
  /** No callback knows this command. */
  UNKNOWN: 1,
  /** The callback threw, rejected or returned what is not a result; the host has reported it. */
  THREW: 2,
  /** Guest and host speak different major versions. */
  VERSION: 3,
  /** The request itself is malformed: unknown kind, client out of range, wild pointer. */
  INVALID: 4,
  /** This transport or request is not available here. */
  UNSUPPORTED: 5,
  /** What the guest put there: nobody answered. All ones, as wide as a register (64 bits in memory). */
  NOBODY: -1,
} as const;

/** Layout of the config area: byte offsets of 64-bit words (the magic is eight bytes). */
export const Config = {
  MAGIC: 0,
  VERSION: 8,
  /** Number of clients; each owns a control slot, a part of the data area and a ring. */
  MAX_CLIENTS: 16,
  /** Arguments of a call. */
  NUM_ARGS: 24,
  /** Bytes of the data area that belong to each client. */
  CLIENT_DATA_SIZE: 32,
  /** Bytes of the control area. */
  CONTROL_SIZE: 40,
  /** Bytes of the data area, rings included. */
  DATA_SIZE: 48,
  /** Byte offset in the data area of client 0's ring. */
  RING_OFFSET: 56,
  /** Bytes from one client's ring to the next, header included. */
  RING_STRIDE: 64,
  /** Bytes of a ring's buffer, a power of two. */
  RING_SIZE: 72,
  /** Bytes of the config area. */
  SIZE: 4096,
} as const;

/** Layout of a control slot: client c's is at `c * SIZE` in the control area. */
export const Control = {
  /** u64: command. */
  COMMAND: 0,
  /** u64[4]: arguments. */
  ARGS: 8,
  /** u64, out: result. */
  RESULT: 40,
  /** u64, out: status; the guest puts NOBODY there before the call. */
  STATUS: 48,
  /** A store of any size to these 8 bytes is the call; value 1 is CALL, 2 is FLUSH. They read as 0. */
  DOORBELL: 56,
  SIZE: 64,
} as const;

/** Values stored to a doorbell. */
export const Doorbell = { CALL: 1, FLUSH: 2 } as const;

/**
 * Layout of a ring: a header, then the buffer. `head` and `tail` are byte counts that only grow (modulo 2^32);
 * a position is the count modulo the ring's size. The guest writes the record, then `head`; the host reads,
 * then writes `tail`. A record that does not fit before the buffer's end is preceded by a PAD record.
 * A guest that finds the ring full asks for FLUSH and goes on: nothing is lost.
 * Payloads are zero-padded to a multiple of 8 bytes, and the callback gets them with that padding.
 */
export const Ring = {
  /** u32: bytes ever written, by the guest. */
  HEAD: 0,
  /** u32: bytes ever drained, by the host. */
  TAIL: 4,
  /** Byte offset of the buffer. */
  BUFFER: 64,
  /** Record header, u32: bytes of the record with its 8-byte header, a multiple of 8. */
  RECORD_SIZE: 0,
  /** Record header, u32: command. */
  RECORD_COMMAND: 4,
  /** Record header bytes. */
  RECORD_HEADER: 8,
  /** Command of a record that only fills the buffer up to its end. */
  PAD: 0xffff_ffff,
} as const;

/** Arguments of a call. */
export const NUM_ARGS = 4;

/** Geometry of a channel; the defaults fit most uses. */
export interface ChannelGeometry {
  /** Number of clients, 1 to 64. */
  maxClients: number;
  /** Bytes of data area a client, a multiple of 4096. */
  clientDataSize: number;
  /** Bytes of ring buffer a client, a power of two, 4096 or more. */
  ringSize: number;
}

/** 8 clients with 64 KiB of data and 64 KiB of ring each. */
export const DEFAULT_GEOMETRY: ChannelGeometry = {
  maxClients: 8,
  clientDataSize: 65536,
  ringSize: 65536,
};

/** Default base path of the mapped channel's files. */
export const DEFAULT_BASE_PATH = "/dev/trapdoor";

/** What the channel is as a PCI device: registers 0 config, 1 data, 2 control. Numbers for experiments; "TD". */
export const Pci = {
  VENDOR: 0x1af4,
  DEVICE: 0x10f0,
  SUBSYSTEM_VENDOR: 0x5444,
  SUBSYSTEM: 1,
} as const;

/** Physical address of config, control and data, one after the other, on the board `virt`. */
export const VIRT_ADDRESS = 0x400_0000;
