/**
 * A 16550A serial port, as fast as its user.
 *
 * Source: National Semiconductor PC16550D data sheet; registers are one byte each, one byte apart.
 *
 * @module
 */
import type { State, Stateful, StateReader } from "../state.ts";
import type { InterruptLine, MmioDevice } from "./device.ts";

/** Registers by offset; 0 and 1 are the divisor while LCR says so. */
const R = { DATA: 0, IER: 1, IIR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCR: 7 } as const;
const DLAB = 0x80;
const IER_RECEIVED = 1, IER_SENT = 2, IER_LINE = 4;
const IIR_NONE = 1, IIR_SENT = 2, IIR_RECEIVED = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFO = 0xc0;
const FCR_ENABLE = 1, FCR_CLEAR_RECEIVED = 2;
const LSR_READY = 1, LSR_OVERRUN = 2, LSR_EMPTY = 0x60;
const MCR_LOOP = 0x10;
/** Lines of a connected modem: DCD, DSR and CTS. */
const MSR_CONNECTED = 0xb0;
const FIFO = 16;
const TRIGGERS = [1, 4, 8, 14];

/** The serial port; the machine's console. */
export class Uart16550 implements MmioDevice, Stateful {
  readonly #line: InterruptLine;
  readonly #send: (byte: number) => void;
  readonly #received: number[] = [];
  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scr = 0;
  #divisor = 0;
  #overrun = false;
  /** The "transmitter empty" interrupt waits to be seen. */
  #sent = false;
  #raised = false;

  /**
   * @param line Its interrupt.
   * @param send Takes what the guest sends.
   */
  constructor(line: InterruptLine, send: (byte: number) => void) {
    this.#line = line;
    this.#send = send;
  }

  /** Bytes that may be received at once. */
  get room(): number {
    return (this.#fcr & FCR_ENABLE ? FIFO : 1) - this.#received.length;
  }

  /** A byte arrives; without room it is lost, and the guest is told. */
  receive(byte: number): void {
    if (this.room <= 0) this.#overrun = true;
    else this.#received.push(byte & 0xff);
    this.#update();
  }

  #iir(): number {
    const fifo = this.#fcr & FCR_ENABLE ? IIR_FIFO : 0, ready = this.#received.length;
    if (this.#ier & IER_LINE && this.#overrun) return IIR_LINE | fifo;
    if (this.#ier & IER_RECEIVED && ready > 0) {
      const trigger = fifo ? TRIGGERS[this.#fcr >>> 6] : 1;
      return (ready >= trigger ? IIR_RECEIVED : IIR_TIMEOUT) | fifo;
    }
    if (this.#ier & IER_SENT && this.#sent) return IIR_SENT | fifo;
    return IIR_NONE | fifo;
  }

  #update(): void {
    const raised = (this.#iir() & 1) === 0;
    if (raised !== this.#raised) this.#line(this.#raised = raised);
  }

  save(): State {
    return {
      registers: [this.#ier, this.#fcr, this.#lcr, this.#mcr, this.#scr, this.#divisor],
      received: Uint8Array.from(this.#received),
      flags: [this.#overrun, this.#sent, this.#raised],
    };
  }

  restore(state: StateReader): void {
    const registers = state.at("registers").list(6).map((register) => register.number(0, 0xffff));
    [this.#ier, this.#fcr, this.#lcr, this.#mcr, this.#scr, this.#divisor] = registers;
    this.#received.splice(0, Infinity, ...state.at("received").bytes());
    const flags = state.at("flags").list(3).map((flag) => flag.boolean());
    [this.#overrun, this.#sent, this.#raised] = flags;
  }

  read(offset: number, size: number): number | undefined {
    if (offset >= 8) return 0;
    const value = this.#read(offset);
    // Wider loads get the one register.
    return size === 1 ? value : value & 0xff;
  }

  #read(offset: number): number {
    switch (offset) {
      case R.DATA: {
        if (this.#lcr & DLAB) return this.#divisor & 0xff;
        const byte = this.#received.shift() ?? 0;
        this.#update();
        return byte;
      }
      case R.IER:
        return this.#lcr & DLAB ? this.#divisor >>> 8 : this.#ier;
      case R.IIR: {
        const iir = this.#iir();
        if ((iir & 15) === IIR_SENT) {
          this.#sent = false;
          this.#update();
        }
        return iir;
      }
      case R.LCR:
        return this.#lcr;
      case R.MCR:
        return this.#mcr;
      case R.LSR: {
        const lsr = LSR_EMPTY | (this.#received.length > 0 ? LSR_READY : 0) |
          (this.#overrun ? LSR_OVERRUN : 0);
        this.#overrun = false;
        this.#update();
        return lsr;
      }
      case R.MSR: {
        if ((this.#mcr & MCR_LOOP) === 0) return MSR_CONNECTED;
        // In loop mode the outputs are the inputs: DTR to DSR, RTS to CTS, OUT1 to RI, OUT2 to DCD.
        const m = this.#mcr;
        return (m & 1) << 5 | (m & 2) << 3 | (m & 4) << 4 | (m & 8) << 4;
      }
      default:
        return this.#scr;
    }
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff;
    switch (offset) {
      case R.DATA:
        if (this.#lcr & DLAB) {
          this.#divisor = this.#divisor & 0xff00 | byte;
          return;
        }
        if (this.#mcr & MCR_LOOP) this.receive(byte);
        else this.#send(byte);
        this.#sent = true;
        break;
      case R.IER:
        if (this.#lcr & DLAB) {
          this.#divisor = this.#divisor & 0xff | byte << 8;
          return;
        }
        // Enabling the interrupt of an empty transmitter raises it.
        if ((byte & IER_SENT) !== 0 && (this.#ier & IER_SENT) === 0) this.#sent = true;
        this.#ier = byte & 15;
        break;
      case R.IIR:
        if ((byte & FCR_CLEAR_RECEIVED) !== 0 || ((byte ^ this.#fcr) & FCR_ENABLE) !== 0) {
          this.#received.length = 0;
        }
        this.#fcr = byte & 0xc9;
        break;
      case R.LCR:
        this.#lcr = byte;
        break;
      case R.MCR:
        this.#mcr = byte & 0x1f;
        break;
      case R.SCR:
        this.#scr = byte;
        break;
    }
    this.#update();
  }
}
