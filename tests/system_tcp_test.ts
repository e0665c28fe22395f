import { assert, assertEquals } from "@std/assert";
import { BUFFER, TcpEnd } from "../machine/system/net/tcp.ts";
import { type Segment, Tcp } from "../machine/system/net/wire.ts";
import { xorshiftBelow } from "./xorshift.ts";

/** Two ends with a cable that has a queue in each direction. */
function pair(seed: number, loss: number) {
  const next = xorshiftBelow(seed), queues: Segment[][] = [[], []], ready = [true, true];
  const events: string[][] = [[], []];
  const ends = [0, 1].map((side) =>
    new TcpEnd({
      send: (segment) => {
        if (next(100) < loss) return;
        const ports = { sourcePort: 1, destinationPort: 2 };
        queues[side].push({ ...segment, payload: segment.payload.slice(), ...ports });
      },
      ready: () => ready[side] && queues[side].length < 64,
      established: () => events[side].push("established"),
      readable: () => {},
      writable: () => {},
      closed: (reset) => events[side].push(reset ? "reset" : "closed"),
    }, next(2 ** 31) * 2 + side)
  );
  return { next, queues, ready, ends, events };
}

/** Sends random bytes in both directions in random steps until both ends are closed. */
function converse(seed: number, loss: number): void {
  const { next, queues, ready, ends, events } = pair(seed, loss);
  const total = [next(400_000), next(400_000)], sent = [0, 0], got = [0, 0];
  const shut = [false, false];
  let now = 0, accepted = false;
  ends[0].open();
  for (let step = 0; events.some((list) => !list.includes("closed")); step++) {
    assert(step < 1e5, `seed ${seed}: does not end: ${sent} of ${total}, ${got}, ${events}`);
    assert(!events.flat().includes("reset"), `seed ${seed}: reset`);
    const side = next(2), end = ends[side];
    switch (next(6)) {
      case 0: { // Segments arrive.
        for (let n = next(20); n >= 0 && queues[1 - side].length > 0; n--) {
          const segment = queues[1 - side].shift()!;
          if (side === 1 && !accepted) {
            accepted = true;
            end.accept(segment);
          } else if (end.closed && loss > 0) {
            // TIME-WAIT, which a cable without losses does not need.
            const { sequence, acknowledgment, payload } = segment;
            const answer = {
              sequence: acknowledgment,
              acknowledgment: sequence + payload.length + 1,
            };
            queues[side].push({ ...segment, ...answer, flags: Tcp.ACK, payload: new Uint8Array() });
          } else end.receive(segment);
        }
        end.flush();
        break;
      }
      case 1: { // The program writes.
        if (end.closed) break;
        const count = Math.min(next(50_000), total[side] - sent[side]);
        const bytes = Uint8Array.from({ length: count }, (_, i) => (sent[side] + i) * 31 >> 3);
        sent[side] += end.outgoing.push(bytes);
        end.pump();
        if (sent[side] === total[side] && !shut[side]) {
          shut[side] = true;
          end.shutdown();
        }
        break;
      }
      case 2: { // The program reads.
        const bytes = end.incoming.first(), count = next(bytes.length + 1);
        for (let i = 0; i < count; i++) {
          assertEquals(bytes[i], (got[side] + i) * 31 >> 3 & 255, `seed ${seed}`);
        }
        got[side] += count;
        end.consumed(count);
        assert(end.incoming.length <= BUFFER && end.outgoing.length <= BUFFER);
        break;
      }
      case 3: // Its side of the cable is full, or not.
        ready[side] = next(3) > 0;
        if (ready[side]) end.pump();
        break;
      case 4:
        if (loss > 0 || next(50) === 0) now += next(3000);
        for (const each of ends) each.tick(now);
    }
  }
  // What was not read yet is still there.
  for (const side of [0, 1]) {
    got[side] += ends[side].incoming.length;
    assert(ends[1 - side].closed);
  }
  assertEquals(got, [total[1], total[0]], `seed ${seed}`);
}

Deno.test("TcpEnd brings all bytes in order and closes, whatever the order of events", () => {
  for (let seed = 1; seed <= 20; seed++) converse(seed * 77, 0);
});

Deno.test("TcpEnd brings all bytes in order when segments get lost", () => {
  for (let seed = 1; seed <= 10; seed++) converse(seed * 1013, 5);
});

Deno.test("TcpEnd neither throws nor keeps more than its buffers when segments are random", () => {
  const next = xorshiftBelow(4711);
  for (let round = 0; round < 200; round++) {
    const { ends: [end], queues } = pair(round + 1, 0);
    const wild = (): Segment => ({
      ...{ sourcePort: 1, destinationPort: 2 },
      sequence: next(3) === 0 ? next(2 ** 31) * 2 : base + next(200) - 100 >>> 0,
      acknowledgment: next(3) === 0 ? next(2 ** 31) * 2 : own + next(200) - 100 >>> 0,
      flags: next(8) === 0 ? next(64) : Tcp.ACK | (next(20) === 0 ? Tcp.FIN : 0),
      window: next(65536),
      mss: next(2) ? next(65536) : undefined,
      scale: next(2) ? next(256) : undefined,
      payload: new Uint8Array(next(3) === 0 ? next(65536) : next(100)),
    });
    let base = next(2 ** 31), own = 0;
    end.accept({ ...wild(), sequence: base });
    own = queues[0][0].sequence + 1;
    base++;
    for (let i = 0; i < 300; i++) {
      end.outgoing.push(new Uint8Array(next(2000)));
      end.receive(wild());
      end.flush();
      end.tick(i * next(2000));
      assert(end.incoming.length <= BUFFER && end.outgoing.length <= BUFFER);
      // Nothing is sent that the guest can't take in one frame.
      assert(queues[0].every(({ payload }) => payload.length <= 1460));
      const last = queues[0].at(-1);
      if (last) base = last.acknowledgment;
      queues[0].length = 0;
    }
  }
});
