/**
 * Random programs from the decode tables: branches, loops, calls and code that changes itself, around the pieces of
 * pieces.ts.
 *
 * @module
 */
import { HostPieces } from "./host.ts";
import { BASE, BODY, type State } from "./layout.ts";
import { type GeneratorOptions, type Kind, KINDS, Pieces, range } from "./pieces.ts";
import { type Atom, type Item, item, Part, type Program, sizeOf } from "./program.ts";
import { integer, poolEntry } from "./random.ts";

export { type GeneratorOptions, type Kind, KINDS };

type Piece =
  | "plain"
  | "float"
  | "edge"
  | "memory"
  | "short"
  | "csr"
  | "atomic"
  | "fence"
  | "patch"
  | "flow";

/** How often which piece is chosen. */
const WEIGHTS: Readonly<Record<Kind, Partial<Record<Piece, number>>>> = {
  int: { plain: 70, memory: 16, fence: 1, flow: 13 },
  float: { plain: 6, float: 64, memory: 12, csr: 8, short: 2, flow: 8 },
  edge: { plain: 4, edge: 60, float: 8, memory: 6, csr: 8, short: 2, flow: 12 },
  compressed: { short: 46, plain: 14, memory: 24, float: 4, flow: 12 },
  atomic: { plain: 20, atomic: 50, memory: 14, short: 4, fence: 2, flow: 10 },
  code: { plain: 30, short: 20, memory: 10, patch: 14, float: 4, csr: 2, fence: 4, flow: 16 },
};

/** Makes one program. */
export class Generator extends HostPieces {
  readonly functions: Item[] = [];
  /** Instructions of functions that {@linkcode farPatch} changes, and what turns one form into the other. */
  readonly sites: { site: Item; change: number }[] = [];
  #pieces: Piece[] = [];

  constructor(seed: number, options: GeneratorOptions) {
    super(seed, options);
    for (const [piece, weight] of Object.entries(WEIGHTS[options.kind])) {
      for (let i = 0; i < weight; i++) this.#pieces.push(piece as Piece);
    }
  }

  /** Code around a body that is jumped over, always or perhaps. */
  skip(body: Item[]): Item {
    const { random } = this, piece = item([], body), size = sizeOf(body), { end } = piece;
    const compressed = this.options.kind === "compressed" || random.chance(0.2);
    const rs1 = this.source(), rs2 = random.chance(0.1) ? rs1 : this.source();
    const indirect = () => {
      const r = this.destination(1), odd = random.chance(0.3);
      const setup = this.addressOf(r, end);
      if (odd) setup.push(this.atom("ori", { rd: r, rs1: r, imm: 1 }));
      if (compressed) {
        const call = !this.reserved.has(1) && random.chance(0.5);
        return [...setup, this.atom(call ? "c.jalr" : "c.jr", { rs1: r })];
      }
      if (random.chance(0.5)) {
        const rd = random.chance(0.3) ? r : this.destination();
        return [...setup, this.atom("jalr", { rd, rs1: r, imm: 0 })];
      }
      return [
        this.fixed("auipc", { rd: r }, end, Part.PC_HIGH),
        this.fixed("jalr", { rd: this.destination(), rs1: r }, end, Part.PC_LOW),
      ];
    };
    switch (random.below(6)) {
      case 0:
        piece.before = indirect();
        return piece;
      case 1: {
        const link = this.wide || this.reserved.has(1) || random.chance(0.5) ? "c.j" : "c.jal";
        piece.before = compressed && size < 2000
          ? [this.fixed(link, {}, end, Part.RELATIVE)]
          : [this.fixed("jal", { rd: this.destination() }, end, Part.RELATIVE)];
        return piece;
      }
      default:
        if (compressed && size < 240) {
          const name = random.pick(["c.beqz", "c.bnez"]);
          piece.before = [this.fixed(name, { rs1: this.source(8, 15) }, end, Part.RELATIVE)];
        } else if (size < 4000) {
          const { name } = random.pick(this.catalogue.branches).row;
          piece.before = [this.fixed(name, { rs1, rs2 }, end, Part.RELATIVE)];
        }
        return piece;
    }
  }

  loop(body: Item[], depth: number): Item {
    const { random } = this, rd = this.counters[depth];
    // Long ones are cut off by the harness.
    const long = this.options.host && sizeOf(body) < 100 && random.chance(0.2);
    const count = long ? random.between(100, 2000) : random.between(1, depth === 0 ? 12 : 6);
    const piece = item(
      [this.atom("addi", { rd, imm: count })],
      body,
    );
    const step = random.chance(0.5)
      ? this.atom("c.addi", { rd, imm: -1 })
      : this.atom("addi", { rd, rs1: rd, imm: -1 });
    piece.after = random.chance(0.7)
      ? [step, this.fixed("bne", { rs1: rd, rs2: 0 }, piece.top, Part.RELATIVE)]
      : [
        step,
        this.fixed("bge", { rs1: 0, rs2: rd }, piece.end, Part.RELATIVE),
        this.fixed("jal", { rd: 0 }, piece.top, Part.RELATIVE),
      ];
    return piece;
  }

  /** A jump to one of four places, as execution tells. */
  table(): Item {
    const { random } = this, short = random.chance(0.4), width = short ? 2 : 4;
    const r = this.destination(1);
    let t = r;
    while (t === r) t = this.destination(1);
    const slots = range(0, 3).map(() =>
      this.any(short ? this.catalogue.short : this.catalogue.single).atom
    );
    return item([
      this.atom("auipc", { rd: r, imm: 0 }),
      this.atom("andi", { rd: t, rs1: this.source(), imm: 3 * width }),
      this.atom("add", { rd: r, rs1: r, rs2: t }),
      this.atom("jalr", { rd: this.destination(), rs1: r, imm: 16 }),
      ...slots,
    ]);
  }

  call(f: number): Item {
    const { random } = this, rd = this.links[f], { start } = this.functions[f];
    switch (random.below(3)) {
      case 0:
        return item([this.fixed("jal", { rd }, start, Part.RELATIVE)]);
      case 1:
        return item([
          this.fixed("auipc", { rd }, start, Part.PC_HIGH),
          this.fixed("jalr", { rd, rs1: rd }, start, Part.PC_LOW),
        ]);
      default: {
        const rs1 = this.destination(1);
        const jump = rd === 1 ? this.atom("c.jalr", { rs1 }) : this.atom("jalr", { rd, rs1 });
        return item([...this.addressOf(rs1, start), jump]);
      }
    }
  }

  /** An instruction that may change into another, by an exclusive or with `change`. */
  site(): { site: Item; change: number } {
    const one = this.any(this.catalogue.single), two = this.any(this.catalogue.single);
    return { site: item([one.atom]), change: one.atom.bits ^ two.atom.bits };
  }

  /** Changes a site, to and fro. */
  change({ site, change }: { site: Item; change: number }): Atom[] {
    const r = this.destination(1);
    let t = r, k = r;
    while (t === r) t = this.destination(1);
    while (k === r || k === t) k = this.destination(1);
    const high = (change + 0x800) & ~0xfff;
    return [
      ...this.addressOf(r, site.start),
      this.atom("lui", { rd: k, imm: high }),
      this.atom("addi", { rd: k, rs1: k, imm: (change - high) << 20 >> 20 }),
      this.atom("lw", { rd: t, rs1: r, imm: 0 }),
      this.atom("xor", { rd: t, rs1: t, rs2: k }),
      this.atom("sw", { rs1: r, rs2: t, imm: 0 }),
      this.atom("fence.i"),
    ];
  }

  /** Code that changes an instruction after it. */
  patch(): Item {
    const site = this.site(), body = this.random.chance(0.5) ? this.plain() : [];
    return item(this.change(site), [...body, site.site]);
  }

  /** Code that changes a function, on another page perhaps, and calls it. */
  farPatch(inFunction: number): Item[] {
    const callee = inFunction + 1 + this.random.below(2);
    const patch = item(this.change(this.random.pick(this.sites)));
    return callee < this.functions.length ? [patch, this.call(callee)] : [patch];
  }

  flow(budget: number, depth: number, inFunction: number): Item {
    const { random } = this, inner = Math.max(1, Math.min(budget, random.between(1, 40)));
    const kind = random.below(10);
    const callee = inFunction + 1 + random.below(2);
    if (kind === 0) return this.table();
    if (kind <= 2 && callee < this.functions.length) return this.call(callee);
    // Functions have the last counter, so that their loops don't disturb their callers'.
    const level = inFunction >= 0 ? 2 : depth;
    const mayLoop = inFunction >= 0 ? inFunction === 1 && depth === 0 : depth < 2;
    if (kind <= 5 && mayLoop) return this.loop(this.block(inner, depth + 1, inFunction), level);
    return this.skip(this.block(inner, depth, inFunction));
  }

  block(budget: number, depth: number, inFunction: number): Item[] {
    const items: Item[] = [];
    let left = budget;
    while (left > 0) {
      const made = this.piece(left, depth, inFunction);
      left -= Math.max(1, sizeOf(made) >> 2);
      items.push(...made);
    }
    return items;
  }

  piece(budget: number, depth: number, inFunction: number): Item[] {
    const piece = this.random.pick(this.#pieces);
    if (this.options.host && this.random.chance(0.08)) {
      return this.host(depth, inFunction);
    }
    switch (piece) {
      case "plain":
        return this.random.chance(0.1) ? this.extreme() : this.plain();
      case "short":
        return this.plain(this.catalogue.short);
      case "float":
        return this.float();
      case "edge":
        return this.edge();
      case "memory":
        return this.memory();
      case "csr":
        return this.csr();
      case "atomic":
        return this.atomic();
      case "fence":
        return [item([this.any(this.catalogue.fences).atom])];
      case "patch":
        return this.sites.length > 0 && this.random.chance(0.5)
          ? this.farPatch(inFunction)
          : [this.patch()];
      default:
        return [this.flow(budget - 2, depth, inFunction)];
    }
  }

  /** Random registers for a program that another generator has made. */
  stateFor(other: Pieces): State {
    const state = this.state();
    state.x[this.base] = state.x[0];
    state.x[other.base] = BigInt(BASE);
    state.x[other.factor] |= 1n;
    return state;
  }

  /** Random registers; memory from a seed. */
  state(): State {
    const { random } = this;
    const x = range(0, 31).map(() => BigInt.asUintN(this.options.xlen, integer(random)));
    x[0] = 0n;
    x[this.base] = BigInt(BASE);
    x[this.factor] |= 1n;
    const mode = random.chance(0.6) ? 0 : random.below(5);
    const flags = random.chance(0.5) ? random.below(32) | 1 : random.below(32) & ~1;
    return {
      x,
      f: range(0, 31).map(() => poolEntry(random)),
      fcsr: mode << 5 | flags,
      memory: this.options.kind === "edge"
        ? -1 - random.below(0x7fff_ffff)
        : 1 + random.below(0x7fff_ffff),
    };
  }

  program(): Program {
    const { random } = this, { xlen, size } = this.options;
    const state = this.state();
    this.usePool(state);
    // The functions exist before their bodies, which call one another.
    this.functions.push(item([]), item([]));
    for (const i of [0, 1]) {
      const f = this.functions[i], rs1 = this.links[i];
      f.body = this.block(random.between(4, 30), 0, i);
      if (this.options.kind === "code") {
        const made = range(1, random.between(1, 3)).map(() => this.site());
        for (const { site } of made) f.body.splice(random.below(f.body.length + 1), 0, site);
        this.sites.push(...made);
      }
      f.after = [
        random.chance(0.3) ? this.atom("c.jr", { rs1 }) : this.atom("jalr", { rd: 0, rs1, imm: 0 }),
      ];
    }
    const items = this.block(size, 0, -1);
    return {
      xlen,
      state,
      base: this.base,
      entry: BODY + 2 * random.below(0x800),
      items,
      functions: [...this.functions, ...this.recursions],
      free: Array.from({ length: 31 }, (_, i) => i + 1).filter((n) => !this.reserved.has(n)),
      gap: this.options.kind === "code" && random.chance(0.7) ? 4096 : 0,
    };
  }
}

/** A program; the same for the same seed and options as long as the tables are the same. */
export function generate(seed: number, options: GeneratorOptions): Program {
  return new Generator(seed, options).program();
}
