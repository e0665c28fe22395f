/**
 * From a unit to the text of one C function.
 *
 * Guest registers are C locals: loaded at the entry, written back at the exit. Control flow is `goto`. What is not the
 * fast path of an op - an unmapped or misaligned address, a store to watched code, a trap, a NaN - leaves with the exact
 * guest address and fuel, and the interpreter executes that instruction. The text depends on nothing but the unit.
 *
 * @module
 */
import { Ending, type RegionBlock } from "../cpu/engine/region/region.ts";
import { findPairs } from "../cpu/engine/region/liveness.ts";
import { FLAG_NV } from "../cpu/engine/softfloat/core.ts";
import type { IrBlock } from "../cpu/ir/builder.ts";
import { Effect, FIELDS, FpStyle, mayExit, Op, OPS, Slot, WORDS } from "../cpu/ir/ops.ts";
import { hex, type OpContext, OPERATIONS, U64_ZERO } from "./emit_ops.ts";
import { type AccessPlan, type AccessState, planAccesses } from "./accesses.ts";
import { LateNans } from "./late_nans.ts";
import { entryTable } from "./entry_table.ts";
import { KnownValues, mayRaise } from "./known_values.ts";
import { EXTENTS } from "./layout.ts";
import { planUnrolling, type Unrolled } from "./unroll.ts";
import { Page } from "../mmu/address_space.ts";
import { isShort, type Unit } from "./unit.ts";

const BRANCH = new Map<number, (a: string, b: string) => string>([
  [Op.brEq, (a, b) => `${a} == ${b}`],
  [Op.brNe, (a, b) => `${a} != ${b}`],
  [Op.brLt, (a, b) => `(i64)${a} < (i64)${b}`],
  [Op.brGe, (a, b) => `(i64)${a} >= (i64)${b}`],
  [Op.brLtu, (a, b) => `${a} < ${b}`],
  [Op.brGeu, (a, b) => `${a} >= ${b}`],
]);
/** The 64-bit immediate of a record. */
const immediateOf = (code: Int32Array, at: number) =>
  hex(BigInt.asUintN(64, BigInt(code[at + 5]) << 32n | BigInt(code[at + 4] >>> 0)));
const isTemp = (slot: number) => slot >= Slot.TEMP && slot < Slot.FP_FLAGS;
/** Slots that are never kept in locals. */
const isSpecial = (slot: number) => slot >= Slot.FP_FLAGS;
/** Those that an op may read, and write; one that names another leaves. The rounding mode is set where a stay begins. */
const READABLE: readonly number[] = [Slot.FP_FLAGS, Slot.FP_RM, Slot.FP_GATE];
const WRITABLE: readonly number[] = [Slot.FP_FLAGS];
/** Return sites that are compared one by one before the table of entries is asked. */
const MAX_SITES = 6;

/** What makes NaNs canonical. */
const canonical = (slots: readonly number[]) =>
  slots.map((slot) => `CANONICAL(r${slot}); `).join("");

/** Prints one unit. */
export class Emitter implements OpContext {
  readonly #unit: Unit;
  readonly #lines: string[] = [];
  /** Text of each register's local, and whether it is a double. */
  readonly #doubles = new Set<number>();
  readonly #touched: number[] = [];
  readonly #written: number[] = [];
  #tempDoubles = new Set<number>();
  /** First slots of pairs that are vectors: one local each. */
  readonly #pairs: ReadonlySet<number>;
  /** Side exits: one for each guest instruction that needs one. */
  readonly #exits: { fuel: number; pc: number | undefined; late: readonly number[] }[] = [];
  readonly #exitOf = new Map<string, number>();
  /** By block: instructions that were executed before it, and not yet subtracted from the fuel. */
  readonly #owed = new Map<number, number>();
  #block!: RegionBlock;
  #at = 0;
  /** How the current block is unrolled, and guest instructions of earlier iterations that are printed. */
  #unrolled: Unrolled | undefined;
  #done = 0;
  #plan!: AccessPlan;
  /** What is known of memory behind a block, where another goes on with it. */
  readonly #known = new Map<number, AccessState>();
  /** By block: its only predecessor, if that is printed before it. */
  readonly #only = new Map<number, RegionBlock>();
  /** In system mode: the local of each group of accesses, the offset in guest memory of its lowest byte. */
  readonly #offsets = new Map<object, string>();
  /** Checks of loads and of stores so far, each of which has an extent. */
  readonly #extents = [0, 0];
  /** Registers that may hold a NaN that is not canonical yet: at this place, at the current instruction's start, ... */
  #late = new LateNans();
  #lateBefore: readonly number[] = [];
  /** ... and behind a block, where another goes on with it. */
  readonly #lateBehind = new Map<number, LateNans>();
  #usesLate = false;
  #float = false;
  /** Whether some op may raise an exception of the processor's, or asks for those raised. */
  #environment = false;
  /** Whether the local `raised` is up to date at this place in the block. */
  #raisedKnown = false;
  readonly #values = new KnownValues();
  #dispatch = "";

  constructor(unit: Unit) {
    this.#unit = unit;
    this.#pairs = findPairs(unit);
  }

  get system(): boolean {
    return this.#unit.system;
  }

  /** Type of the guest addresses in tables. */
  get #pcType(): string {
    return this.system ? "u64" : "u32";
  }

  /** The text, behind that of layout.h and unit.h. */
  emit(): string {
    const { blocks, entries } = this.#unit;
    this.#findSlots();
    this.#findOwed();
    const { index } = this.#unit;
    const { table, dispatch } = entryTable(entries, (pc) => index.get(pc)!, this.system);
    this.#dispatch = dispatch;
    blocks.forEach((block) => this.#printBlock(block));
    const out: string[] = [];
    out.push("static u32 run(u8 *arena, u32 start) {");
    out.push("i32 fuel = ((const i32 *)(const void *)arena)[FUEL_WORD];");
    if (this.system) {
      out.push("u64 pc = s[EXIT_PC_SLOT], raised;");
      out.push("const u8 *const tlb = TLB;");
      for (const name of this.#offsets.values()) out.push(`u64 ${name};`);
    } else out.push("u64 pc = start, raised;");
    // Only then does leaving ask for it.
    const calls = !this.system && blocks.some(({ ending }) => ending === Ending.BACKDOOR);
    if (calls) out.push("u32 called = 0;");
    out.push(`static const struct { ${this.#pcType} pc; i32 to; } table[] = {${table}};`);
    for (const slot of this.#touched) {
      const name = this.#local(slot);
      if (this.#pairs.has(slot)) out.push(`V64 ${this.getVector(slot)} = ldV(arena, ${8 * slot});`);
      else if (this.#doubles.has(slot)) out.push(`double ${name} = dbl(s[${slot}]);`);
      else out.push(`u64 ${name} = s[${slot}];`);
    }
    if (this.#float) out.push("if (unlikely(s[FP_RM_SLOT] > 3)) goto leave;");
    if (this.#usesLate) {
      out.push(`if (unlikely(s[FP_STYLE_SLOT] & ${FpStyle.PROPAGATE})) goto leave;`);
    }
    out.push(dispatch);
    out.push(...this.#lines);
    this.#exits.forEach(({ fuel, pc, late }, i) => {
      const at = pc === undefined ? "" : `pc = ${hex(pc)}; `;
      out.push(`x${i}: ${canonical(late)}fuel -= ${fuel}; ${at}goto leave;`);
    });
    out.push("leave:");
    for (const slot of this.#written) {
      const vector = this.#pairs.has(slot);
      out.push(
        vector
          ? `stV(arena, ${8 * slot}, ${this.getVector(slot)});`
          : `s[${slot}] = ${this.get(slot)};`,
      );
    }
    out.push("((i32 *)(void *)arena)[FUEL_WORD] = fuel;");
    if (this.system) out.push("s[EXIT_PC_SLOT] = pc;", "return start;");
    else {
      if (calls) {
        out.push("if (called) { s[EXIT_PC_SLOT] = (u64)called << 32 | pc; return CALL_EXIT; }");
      }
      out.push("if (unlikely(pc >> 31)) { s[EXIT_PC_SLOT] = pc; return FAR_EXIT; }");
      out.push("return (u32)pc;");
    }
    out.push("}");
    // In system mode it is TypeScript that says where it is entered.
    const listed = this.system ? [] : entries;
    out.push(`static const u32 entries[] = {${[...listed, 0].map((pc) => `${pc}u`).join()}};`);
    out.push("EXPORT const struct trapdoor_unit trapdoor_unit = {");
    // What native code does of an operation that is invalid, see unit.h.
    const floats = this.#environment ? this.#usesLate ? 31 : 31 - FLAG_NV : 0;
    out.push(`TRAPDOOR_ABI, LAYOUT_HASH, ${listed.length}, ${floats}, run, entries};`);
    return out.join("\n") + "\n";
  }

  // ---- slots ----

  #findSlots(): void {
    const touched = new Set<number>(), written = new Set<number>();
    const floats = new Map<number, number>();
    for (const { ir, terminator } of this.#unit.blocks) {
      for (let at = 0; at <= terminator; at += WORDS) {
        const op = ir.code[at], fields = FIELDS[op], kinds = OPERATIONS.get(OPS[op].name)?.kinds;
        const touch = (each: number, kind: string | undefined) => {
          const slot = this.#variable(each);
          if (slot === Slot.ZERO || isSpecial(slot) || isTemp(slot)) return;
          touched.add(slot);
          if (slot !== each || this.#pairs.has(slot)) return;
          const by = kind === "d" ? 1 : kind === "i" ? -1 : 0;
          floats.set(slot, (floats.get(slot) ?? 0) + by);
        };
        fields.reads.forEach((field) => touch(ir.code[at + field], kinds?.[field - 1]));
        if (!fields.writes) continue;
        touch(ir.code[at + 1], kinds?.[0]);
        const d = this.#variable(ir.code[at + 1]);
        if (d !== Slot.ZERO && !isTemp(d) && !isSpecial(d)) written.add(d);
      }
    }
    const ascending = (a: number, b: number) => a - b;
    this.#touched.push(...[...touched].sort(ascending));
    this.#written.push(...[...written].sort(ascending));
    for (const [slot, uses] of floats) if (uses > 0) this.#doubles.add(slot);
  }

  /** The first slot of a vector's half; another slot itself. */
  #variable(slot: number): number {
    return this.#pairs.has(slot & ~1) ? slot & ~1 : slot;
  }

  #local(slot: number): string {
    return this.#isHalf(slot) ? `r${slot & ~1}[${slot & 1}]` : `r${slot}`;
  }

  #isHalf(slot: number): boolean {
    return this.#pairs.has(slot & ~1) && slot !== Slot.ZERO;
  }

  getVector(slot: number): string {
    return `r${slot}`;
  }

  setVector(slot: number, value: string, declaration = ""): void {
    this.line(`{ ${declaration} r${slot} = ${value}; }`);
  }

  #isDouble(slot: number): boolean {
    if (this.#isHalf(slot)) return false;
    return isTemp(slot) ? this.#tempDoubles.has(slot) : this.#doubles.has(slot);
  }

  get(slot: number): string {
    if (slot === Slot.ZERO) return U64_ZERO;
    if (slot === Slot.FP_FLAGS) {
      this.#readRaised();
      return "(s[FP_FLAGS_SLOT] | raised)";
    }
    if (slot === Slot.FP_RM) return "s[FP_RM_SLOT]";
    if (slot === Slot.FP_GATE) return "s[FP_GATE_SLOT]";
    return this.#isDouble(slot) ? `bits64(${this.getDouble(slot)})` : this.#local(slot);
  }

  getDouble(slot: number): string {
    if (this.#late.has(slot)) this.#compare(slot);
    return this.getLate(slot);
  }

  getLate(slot: number): string {
    if (slot === Slot.ZERO) return "0.0";
    return this.#isDouble(slot) ? this.#local(slot) : `dbl(${this.#local(slot)})`;
  }

  set(slot: number, value: string): void {
    if (slot === Slot.ZERO) this.line(`(void)(${value});`);
    else if (slot === Slot.FP_FLAGS) {
      this.#readRaised();
      this.line(`s[FP_FLAGS_SLOT] = ${value};`);
      // Mostly what was read a moment ago is written back.
      this.line("if (unlikely(raised & ~s[FP_FLAGS_SLOT])) { clear_raised(); raised = 0; }");
    } else {
      const text = this.#isDouble(slot) ? `dbl(${value})` : value;
      this.line(`${this.#local(slot)} = ${text};`);
      this.#late.forget(slot);
    }
  }

  /** Reads what the processor has raised, which takes it as long as ten other instructions, unless it is known. */
  #readRaised(): void {
    this.#environment = true;
    if (!this.#raisedKnown) this.line("raised = read_raised();");
    this.#raisedKnown = true;
  }

  setDouble(slot: number, value: string): void {
    if (slot === Slot.ZERO) this.line(`(void)(${value});`);
    else {
      const text = this.#isDouble(slot) ? value : `bits64(${value})`;
      this.line(`${this.#local(slot)} = ${text};`);
      this.#late.forget(slot);
    }
  }

  moveDouble(slot: number, from: number): void {
    this.line(`${this.#local(slot)} = ${this.#local(from)};`);
    this.#late.move(slot, from);
  }

  isLate(slot: number): boolean {
    return this.#unit.canonical && this.isDouble(slot);
  }

  setLate(slot: number, value: string, operands: readonly number[]): void {
    this.#usesLate = true;
    this.line(`${this.#local(slot)} = ${value};`);
    this.#late.result(slot, operands);
  }

  sure(...slots: number[]): void {
    for (const slot of slots) this.#late.sure(slot);
  }

  /** Leaves if a slot is a NaN that is not canonical, or makes it that where an op must not leave. */
  #compare(slot: number): void {
    if (!mayExit(OPS[this.#block.ir.code[this.#at]])) {
      this.line(`CANONICAL(${this.#local(slot)});`);
      this.#late.forget(slot);
    } else this.line(this.#comparison(this.#late.compare(slot), () => this.exit()));
  }

  #comparison(slots: readonly number[], exit: () => string): string {
    let text = "";
    for (let i = 0; i < slots.length; i += 2) {
      const pair = [slots[i], slots[i + 1] ?? slots[i]].map((slot) => this.#local(slot));
      text += `if (unlikely(__builtin_isunordered(${pair.join(", ")}))) ${exit()} `;
    }
    return text;
  }

  /**
   * Where a block ends: leaves if a register is a NaN that is not canonical.
   *
   * @param fuel Guest instructions to be paid.
   * @param pc Where execution goes on then; if absent, where `pc` says.
   */
  #compareAll(fuel: number, pc?: number): string {
    const late = new LateNans();
    late.copy(this.#late);
    const registers = late.registers();
    return this.#comparison(late.compare(), () => this.#exitAt(fuel, pc, registers));
  }

  isDouble(slot: number): boolean {
    return slot !== Slot.ZERO && this.#isDouble(slot);
  }

  line(text: string): void {
    this.#lines.push(text);
  }

  checkAtomic(log2: number, store: boolean): void {
    if (this.system) this.#probe("at", 1 << log2, store, "at", true);
    else {
      const right = store ? "PAGE_LOAD | PAGE_STORE" : "PAGE_LOAD";
      this.line(`if (BAD(at, ${log2}, ${right})) ${this.exit()}`);
    }
  }

  /** Looks `span` bytes from an address on up in the TLB, and assigns the offset in guest memory. */
  #probe(from: string, span: number, store: boolean, to: string, whole = false): void {
    const table = store ? "tlb + TLB_STORES" : "tlb", missed = whole ? "MISSED_WHOLE" : "MISSED";
    this.line(`{ const struct page *e = ENTRY(${table}, ${from});`);
    this.line(`if (${missed}(e, ${from}, ${span})) ${this.exit()}`);
    this.line(`${to} = (u32)((u32)(${from}) + e->addend); }`);
  }

  /** The check of system mode: what is in the same group is found relative to it. */
  #checkPage(): void {
    const check = this.#plan.checks.get(this.#at), place = this.#plan.places.get(this.#at)!;
    let name = this.#offsets.get(place.group);
    if (name === undefined) this.#offsets.set(place.group, name = `o${this.#offsets.size}`);
    if (check) {
      const from = check.low === 0 ? "at" : `(at + ${hex(check.low)})`;
      this.#probe(from, check.span, check.right === Page.STORE, name);
    }
    this.line(`at = ${name} + ${place.distance};`);
  }

  check(): void {
    if (this.system) return this.#checkPage();
    const check = this.#plan.checks.get(this.#at);
    if (check === undefined) return;
    const { low, span, right } = check;
    const place = low === 0 ? "at" : `at + ${hex(low)}`;
    this.line(`if (${this.#outside(place, span, right)}) ${this.exit()}`);
  }

  /** Whether some of `span` bytes may not be accessed. */
  #outside(place: string, span: number, right: number): string {
    // Which extent must follow from the unit alone; units that share some only miss them more often. What may be loaded
    // need not be writable: stores have the upper half to themselves.
    const store = Number(right === Page.STORE);
    const first = Math.imul(this.#unit.pc, 0x9e37_79b1) >>> 8;
    const number = (first + this.#extents[store]++ & EXTENTS / 2 - 1) + store * EXTENTS / 2;
    return `OUT(${place}, ${number}, ${span}, ${right})`;
  }

  isWord(slot: number): boolean {
    return this.#values.isWord(slot);
  }

  usesFloat(): void {
    this.#float = true;
  }

  exit(): string {
    const { ir } = this.#block, insn = ir.insns[this.#at / WORDS];
    const key = `${ir.pc}:${insn}:${this.#done}`;
    let number = this.#exitOf.get(key);
    if (number === undefined) {
      number = this.#exits.length;
      const fuel = this.#owed.get(ir.pc)! + this.#done + insn;
      this.#exits.push({ fuel, pc: ir.pcs[insn], late: this.#lateBefore });
      this.#exitOf.set(key, number);
    }
    return `goto x${number};`;
  }

  #exitAt(fuel: number, pc: number | undefined, late: readonly number[]): string {
    return `goto x${this.#exits.push({ fuel, pc, late }) - 1};`;
  }

  // ---- blocks ----

  #printBlock(block: RegionBlock): void {
    const { ir } = block;
    this.#block = block;
    // Labels are numbers, so that the text of a unit does not grow with its addresses.
    this.line(`L${this.#unit.index.get(ir.pc)}: {`);
    this.#declareTemps(block);
    const before = this.#only.get(ir.pc);
    this.#plan = planAccesses(block, before && this.#known.get(before.ir.pc), this.system);
    this.#known.set(ir.pc, this.#plan.state);
    this.#values.clear();
    this.#raisedKnown = false;
    const leaving = this.#leaving(block);
    const unrolls = leaving.size === 0 && !this.system;
    this.#unrolled = unrolls ? planUnrolling(block) : undefined;
    const late = before && this.#lateBehind.get(before.ir.pc);
    this.#late = new LateNans();
    if (late) this.#late.copy(late);
    if (this.#printBody(block, leaving)) this.#end(block);
    this.line("}");
    if (this.#unrolled) this.#printUnrolled(block, this.#unrolled);
    this.#unrolled = undefined;
  }

  /** Several iterations of a loop of one block; where they are too many, it goes on one by one. */
  #printUnrolled(block: RegionBlock, { times, spans, covered, out, taken }: Unrolled): void {
    const { ir: { pc, code, count }, terminator: at } = block, label = this.#unit.index.get(pc)!;
    const outside = spans.map(({ slot, low, span, right }) =>
      ` || ${this.#outside(`${this.get(slot)} + ${hex(low)}`, span, right)}`
    );
    this.line(
      `F${label}: if (unlikely(fuel < ${times * count})${outside.join("")}) goto L${label};`,
    );
    const plan = planAccesses(block, undefined), checks = [...plan.checks];
    this.#plan = { ...plan, checks: new Map(checks.filter(([each]) => !covered.has(each))) };
    const condition = BRANCH.get(code[at])!;
    for (this.#done = 0; this.#done < times * count; this.#done += count) {
      this.line("{");
      this.#declareTemps(block);
      this.#values.clear();
      this.#raisedKnown = false;
      this.#printBody(block, new Set());
      const holds = condition(this.get(code[at + 2]), this.get(code[at + 3]));
      this.line(`if (${taken ? "" : "!"}(${holds})) ${this.#goto(out, this.#done)}`);
      if (this.#done === (times - 1) * count) this.line(this.#compareAll(times * count, pc));
      this.line("}");
    }
    this.#done = 0;
    this.line(`fuel -= ${times * count}; goto F${label};`);
  }

  /** Goes on at the next record, or the first. */
  #goTo(ir: IrBlock, at: number): void {
    const { insns } = ir;
    if (at === 0 || insns[at / WORDS] !== insns[this.#at / WORDS]) {
      this.#lateBefore = this.#late.registers();
    }
    this.#at = at;
  }

  /** The ops of a block but its last; false if they leave. */
  #printBody({ ir, terminator }: RegionBlock, leaving: ReadonlySet<number>): boolean {
    const { code } = ir;
    for (let at = 0; at < terminator; at += WORDS) {
      this.#goTo(ir, at);
      const row = OPERATIONS.get(OPS[code[at]].name), fields = FIELDS[code[at]];
      if (!row || leaving.has(ir.insns[at / WORDS])) {
        // Nothing behind it is reached.
        this.line(this.exit());
        return false;
      }
      if (this.#values.keepsFlags(code, at)) continue;
      const immediate = !fields.reads.includes(3);
      row.print(this, {
        d: code[at + 1],
        a: code[at + 2],
        b: code[at + 3],
        c: code[at + 4],
        j: code[at + 5],
        i: immediateOf(code, at),
        immediate,
      });
      if (mayRaise(code[at])) this.#raisedKnown = false;
      if (OPS[code[at]].effect === Effect.FLOAT) this.#environment = true;
      this.#values.note(code, at);
    }
    this.#goTo(ir, terminator);
    return true;
  }

  /** Instructions of a block of which some op leaves: none of their ops is executed, as the interpreter does all. */
  #leaving({ ir: { code, insns }, terminator }: RegionBlock): Set<number> {
    const outside = (slot: number, known: readonly number[]) =>
      isSpecial(slot) && !known.includes(slot);
    const found = new Set<number>();
    for (let at = 0; at < terminator; at += WORDS) {
      const fields = FIELDS[code[at]];
      const leaves = !OPERATIONS.has(OPS[code[at]].name) ||
        fields.reads.some((field) => outside(code[at + field], READABLE)) ||
        (fields.writes && outside(code[at + 1], WRITABLE));
      if (leaves) found.add(insns[at / WORDS]);
    }
    return found;
  }

  #declareTemps({ ir, terminator }: RegionBlock): void {
    const uses = new Map<number, number>();
    for (let at = 0; at <= terminator; at += WORDS) {
      const op = ir.code[at], fields = FIELDS[op], kinds = OPERATIONS.get(OPS[op].name)?.kinds;
      for (const field of fields.writes ? [1, ...fields.reads] : fields.reads) {
        const slot = this.#variable(ir.code[at + field]), kind = kinds?.[field - 1];
        if (!isTemp(slot)) continue;
        uses.set(slot, (uses.get(slot) ?? 0) + (kind === "d" ? 1 : kind === "i" ? -1 : 0));
      }
    }
    this.#tempDoubles = new Set([...uses].filter(([, count]) => count > 0).map(([slot]) => slot));
    for (const slot of uses.keys()) {
      if (this.#pairs.has(slot)) this.line(`V64 r${slot} = {0, 0};`);
      else this.line(`${this.#isDouble(slot) ? "double" : "u64"} ${this.#local(slot)};`);
    }
  }

  /**
   * Goes from the current block to a guest address.
   *
   * @param done Guest instructions of earlier iterations that are printed and not paid.
   */
  #goto(target: number, done = 0): string {
    const { pc } = this.#block.ir;
    const to = this.#unit.index.get(target), fuel = this.#paid() + done, pay = `fuel -= ${fuel}; `;
    const text = this.#late.registers().length === 0 ? "" : this.#takeLate(target, fuel);
    if (to === undefined) return `{ ${text}${pay}pc = ${hex(target)}; goto leave; }`;
    if (to > this.#unit.index.get(pc)!) {
      if (this.#owed.get(target)! === 0) return `{ ${text}${pay}goto L${to}; }`;
      return `{ ${text}${done > 0 ? `fuel -= ${done}; ` : ""}goto L${to}; }`;
    }
    // Back edges bound every stay.
    return `{ ${text}if (unlikely((fuel -= ${fuel}) < 0)) { pc = ${
      hex(target)
    }; goto leave; } goto ${this.#unrolled && target === pc ? "F" : "L"}${to}; }`;
  }

  /** Lets a block go on with NaNs that are not canonical, if that is the only way to it; else what to do before. */
  #takeLate(target: number, fuel: number): string {
    if (this.#only.get(target) !== this.#block || this.#unrolled) {
      return this.#compareAll(fuel, target);
    }
    this.#lateBehind.set(this.#block.ir.pc, this.#late);
    return "";
  }

  /** Instructions to be subtracted from the fuel at the end of the current block. */
  #paid(): number {
    return this.#owed.get(this.#block.ir.pc)! + this.#block.ir.count;
  }

  /**
   * Finds where fuel is subtracted: not in each block, but where a block has several predecessors or is an entry. Others owe
   * what their one predecessor, which is printed before them, owed and executed.
   */
  #findOwed(): void {
    const { blocks, index, entries, returns } = this.#unit;
    const predecessors = new Map<number, RegionBlock | undefined>();
    const edge = (to: number, from: RegionBlock | undefined) =>
      predecessors.set(to, predecessors.has(to) ? undefined : from);
    for (const pc of entries) edge(pc, undefined);
    for (const sites of returns.values()) for (const pc of sites) edge(pc, undefined);
    for (const block of blocks) {
      if (block.ending === Ending.CALL) edge(block.callee, block);
      else if (block.ending === Ending.JUMP || block.ending === Ending.BRANCH) {
        for (const pc of block.targets) edge(pc, block);
      }
    }
    blocks.forEach(({ ir }, at) => {
      const from = predecessors.get(ir.pc), before = from && index.get(from.ir.pc)! < at;
      if (before) this.#only.set(ir.pc, from);
      this.#owed.set(ir.pc, before ? this.#owed.get(from.ir.pc)! + from.ir.count : 0);
    });
  }

  #end(block: RegionBlock): void {
    const { code } = block.ir, at = block.terminator;
    switch (block.ending) {
      case Ending.JUMP:
        return this.line(this.#goto(block.targets[0]));
      case Ending.BRANCH: {
        const condition = BRANCH.get(code[at])!(this.get(code[at + 2]), this.get(code[at + 3]));
        this.line(`if (${condition}) ${this.#goto(block.targets[0])}`);
        return this.line(this.#goto(block.targets[1]));
      }
      case Ending.CALL:
        return this.line(this.#goto(block.callee));
      case Ending.CALL_INDIRECT:
      case Ending.INDIRECT: {
        this.line(`pc = ${this.get(code[at + 2])} & ${immediateOf(code, at)};`);
        this.line(this.#compareAll(this.#paid()));
        this.line(`if (unlikely((fuel -= ${this.#paid()}) < 0)) goto leave;`);
        const sites = this.#unit.returns.get(block.ir.pc);
        if (sites && sites.length <= MAX_SITES) {
          for (const site of sites) {
            if (!this.system && !isShort(site)) continue;
            this.line(`if (pc == ${hex(site)}) goto L${this.#unit.index.get(site)};`);
          }
        }
        return this.line(this.#dispatch);
      }
      case Ending.BACKDOOR: {
        // The interpreter answers it in system mode.
        if (this.system) return this.line(this.exit());
        const { pc, bytes } = block.ir, length = code[at + 3];
        const fuel = this.#paid();
        return this.line(
          `${canonical(this.#late.registers())}fuel -= ${fuel}; pc = ${
            hex(pc + bytes - length)
          }; called = ${length}; goto leave;`,
        );
      }
      default:
        // A trap: its instruction is the interpreter's.
        return this.line(this.exit());
    }
  }
}
