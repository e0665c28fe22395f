import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ByteRing } from "../machine/system/net/byte_ring.ts";
import { dhcpReply } from "../machine/system/net/dhcp.ts";
import { Code, makeAnswer, parseQuery } from "../machine/system/net/dns.ts";
import { Address, GUEST_MAC } from "../machine/system/net/gateway.ts";
import type { NetworkHost } from "../machine/system/net/host.ts";
import { denoNetwork } from "../machine/system/net/host_deno.ts";
import { parseNetwork } from "../machine/system/net/options.ts";
import { MAX_CONNECTIONS } from "../machine/system/net/tcp_nat.ts";
import { MAX_PORTS } from "../machine/system/net/udp_nat.ts";
import { UserNetwork } from "../machine/system/net/user_network.ts";
import {
  addressText,
  BROADCAST,
  checksum,
  makeTcp,
  makeUdp,
  parseAddress,
  parseIpv4,
  parseTcp,
  parseUdp,
  type Segment,
  Tcp,
} from "../machine/system/net/wire.ts";
import type { Chain } from "../machine/system/devices/virtio.ts";
import { VirtioNet } from "../machine/system/devices/virtio_net.ts";
import { echoServer, Guest, nameServer, NO_HOST, query } from "./network_guest.ts";
import { xorshiftBelow } from "./xorshift.ts";

const utf8 = new TextEncoder();

/** A network with a guest, closed at the end. */
async function withNetwork(
  options: string,
  host: NetworkHost,
  test: (guest: Guest, network: UserNetwork, notes: string[]) => void | Promise<void>,
): Promise<void> {
  const notes: string[] = [];
  const network = await UserNetwork.open(parseNetwork(options), host, (note) => {
    notes.push(note);
  });
  try {
    await test(new Guest(network), network, notes);
  } finally {
    network.close();
  }
}

// ---- packets ----

Deno.test("checksum is that of RFC 1071's example", () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assertEquals(checksum(bytes), ~0xddf2 & 0xffff);
  assertEquals(checksum(Uint8Array.of(1)), 0xfeff);
  assertEquals(checksum(new Uint8Array(65536).fill(255)), 0);
});

Deno.test("parseAddress takes four numbers and nothing else", () => {
  assertEquals(parseAddress("10.0.2.15"), Address.GUEST);
  assertEquals(addressText(Address.GUEST), "10.0.2.15");
  for (const text of ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.x", "::1", "01.2.3.4444"]) {
    assertEquals(parseAddress(text), undefined, text);
  }
});

Deno.test("parseTcp and parseUdp read what makeTcp and makeUdp write, with right checksums", () => {
  const hop = { to: BROADCAST, from: GUEST_MAC };
  const route = { hop, source: Address.GUEST, destination: 0xc0a80102 };
  const segment: Segment = {
    ...{ sourcePort: 1, destinationPort: 65535, sequence: 0xfffffff0, acknowledgment: 7 },
    ...{ flags: Tcp.SYN | Tcp.ACK, window: 512, mss: 1460, scale: 7 },
    payload: utf8.encode("odd"),
  };
  const packet = parseIpv4(makeTcp(route, segment))!;
  assertEquals(parseTcp(packet), segment);
  const pseudo = (protocol: number, bytes: Uint8Array) =>
    checksum(bytes, 0x0a00 + 0x020f + 0xc0a8 + 0x0102 + protocol + bytes.length);
  assertEquals(pseudo(6, packet.payload), 0);
  const datagram = { sourcePort: 53, destinationPort: 4000, payload: utf8.encode("x") };
  const udp = parseIpv4(makeUdp(route, datagram)[0])!;
  assertEquals(parseUdp(udp), datagram);
  assertEquals(pseudo(17, udp.payload), 0);
});

Deno.test("makeUdp makes fragments when a datagram is longer than a frame", () => {
  const route = { hop: { to: BROADCAST, from: GUEST_MAC }, source: 1, destination: 2 };
  const payload = new Uint8Array(5000).map((_, i) => i);
  const frames = makeUdp(route, { sourcePort: 1, destinationPort: 2, payload });
  assertEquals(frames.map((frame) => frame.length), [1514, 1514, 1514, 602]);
  const whole = new Uint8Array(5008);
  frames.forEach((frame, i) => {
    const field = frame[20] << 8 | frame[21];
    assertEquals(field >> 13, i < 3 ? 1 : 0);
    assertEquals(checksum(frame.subarray(14, 34)), 0);
    whole.set(frame.subarray(34), (field & 0x1fff) * 8);
    assertEquals(parseIpv4(frame), undefined);
  });
  assertEquals(whole.subarray(8), payload);
});

Deno.test("ByteRing keeps order when it wraps around", () => {
  const ring = new ByteRing(7), next = xorshiftBelow(1);
  let put = 0, taken = 0;
  for (let i = 0; i < 2000; i++) {
    const bytes = Uint8Array.from({ length: next(9) }, (_, k) => put + k);
    const count = ring.push(bytes);
    assertEquals(count, Math.min(bytes.length, 7 - (put - taken)));
    put += count;
    const offset = next(ring.length + 1), copied = ring.copy(offset, ring.length - offset);
    assertEquals([...copied], Array.from(copied, (_, k) => taken + offset + k & 255));
    const first = ring.first(), drop = next(first.length + 1);
    assertEquals([...first], Array.from(first, (_, k) => taken + k & 255));
    ring.drop(drop);
    taken += drop;
    assertEquals(ring.length, put - taken);
  }
  assert(taken > 2000);
});

// ---- ARP, ICMP, DHCP, DNS ----

Deno.test("UserNetwork answers ARP and pings for its own addresses, and no others", async () => {
  await withNetwork("user", NO_HOST, async (guest) => {
    const arp = (target: number) => {
      const frame = new Uint8Array(42);
      frame.set(BROADCAST);
      frame.set(GUEST_MAC, 6);
      frame.set([8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...GUEST_MAC, 10, 0, 2, 15], 12);
      new DataView(frame.buffer).setUint32(38, target);
      guest.put(frame);
    };
    arp(Address.GATEWAY);
    arp(Address.GUEST);
    arp(Address.DNS);
    assertEquals(guest.frames.map((frame) => [...frame.subarray(20, 32)]), [
      [0, 2, 0x52, 0x55, 10, 0, 2, 2, 10, 0, 2, 2],
      [0, 2, 0x52, 0x55, 10, 0, 2, 2, 10, 0, 2, 3],
    ]);
    guest.ping(Address.GATEWAY, utf8.encode("abcdefgh"));
    await guest.until(() => guest.icmp.length === 1);
    assertEquals([guest.icmp[0][0], checksum(guest.icmp[0])], [0, 0]);
    assertEquals(new TextDecoder().decode(guest.icmp[0].subarray(4)), "abcdefgh");
    guest.ping(0x08080808, utf8.encode("abcdefgh"));
    await guest.until(() => guest.icmp.length === 2);
    assertEquals([...guest.icmp[1].subarray(0, 2)], [3, 13]);
  });
});

/** A DHCP message of a client. */
function dhcp(type: number, options: number[] = [], flags = 0): Uint8Array {
  const message = new Uint8Array(300);
  message.set([1, 1, 6, 0, 9, 8, 7, 6]);
  message[10] = flags;
  message.set(GUEST_MAC, 28);
  message.set([0x63, 0x82, 0x53, 0x63, 0, 53, 1, type, ...options, 255], 236);
  return message;
}

Deno.test("dhcpReply leases the guest's address and refuses others", () => {
  const lease = { address: 0x0a00020f, mask: 0xffffff00, router: 1, dns: 2, server: 0x0a000202 };
  const type = (message: Uint8Array) => dhcpReply(message, lease)?.message[242];
  assertEquals(type(dhcp(1)), 2);
  assertEquals(type(dhcp(3, [50, 4, 10, 0, 2, 15])), 5);
  assertEquals(type(dhcp(3, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2])), 5);
  assertEquals(type(dhcp(3, [50, 4, 10, 0, 2, 99])), 6);
  assertEquals(type(dhcp(3, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 9])), undefined);
  assertEquals(type(dhcp(8)), 5);
  assertEquals(type(dhcp(7)), undefined);
  const { message, to } = dhcpReply(dhcp(1), lease)!;
  assertEquals([...message.subarray(0, 8)], [2, 1, 6, 0, 9, 8, 7, 6]);
  assertEquals([...message.subarray(16, 24)], [10, 0, 2, 15, 10, 0, 2, 2]);
  assertEquals(to, GUEST_MAC);
  assertEquals(dhcpReply(dhcp(1, [], 0x80), lease)!.to, undefined);
  // Cut off anywhere, an option's length beyond the end.
  for (let length = 0; length < 243; length++) {
    assertEquals(dhcpReply(dhcp(1).subarray(0, length), lease), undefined);
  }
  assertEquals(dhcpReply(dhcp(1, [12, 255]).subarray(0, 250), lease), undefined);
});

Deno.test("UserNetwork leases an address when a guest without one asks everybody", async () => {
  await withNetwork("user", NO_HOST, async (guest) => {
    const route = { ...guest.route(Address.EVERYBODY), source: 0 };
    const ports = { sourcePort: 68, destinationPort: 67 };
    guest.put(makeUdp(route, { ...ports, payload: dhcp(1) })[0]);
    await guest.until(() => guest.udp.length === 1);
    assertEquals([guest.udp[0].port, guest.udp[0].toPort, guest.udp[0].bytes[242]], [67, 68, 2]);
  });
});

Deno.test("parseQuery takes standard queries and refuses what is malformed", () => {
  const { name, type, size, id, recursion } = parseQuery(query("a.example", 1, 1232))!;
  assertEquals([name, type, size, id, recursion], ["a.example", "A", 1232, 0x1234, true]);
  assertEquals(parseQuery(query("a.example", 28))!.type, "none");
  assertEquals(parseQuery(query("a.example", 99))!.type, undefined);
  assertEquals(parseQuery(query("a.example", 1, 65535))!.size, 1400);
  const good = query("a.example", 1);
  for (let length = 0; length < good.length; length++) {
    assertEquals(parseQuery(good.subarray(0, length)), undefined, `${length}`);
  }
  assertEquals(parseQuery(query("a\\.b", 1)), undefined);
  // A pointer to itself.
  assertEquals(
    parseQuery(Uint8Array.from([...good.subarray(0, 12), 0xc0, 12, 0, 1, 0, 1])),
    undefined,
  );
});

Deno.test("makeAnswer leaves out what has no room and says so", () => {
  const asked = parseQuery(query("a.example", 1))!;
  const records = Array.from({ length: 100 }, (_, i) => ({ type: "A" as const, address: i }));
  const answer = makeAnswer(asked, Code.OK, records);
  assert(answer.length <= 512);
  assertEquals([answer[2] & 2, answer[7]], [2, (answer.length - 27) / 16]);
  const mx = makeAnswer(asked, Code.OK, [{ type: "MX", preference: 10, name: "mail.example" }]);
  assertEquals([...mx.subarray(27)], [
    ...[0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 30, 0, 16, 0, 10],
    ...[4, ...utf8.encode("mail"), 7, ...utf8.encode("example"), 0],
  ]);
});

Deno.test("UserNetwork forwards questions about names to a name server", async () => {
  const server = await nameServer();
  await withNetwork(`user,dns=127.0.0.1:${server.port}`, denoNetwork, async (guest) => {
    const ask = async (name: string, type: number) => {
      const before = guest.udp.length;
      guest.datagram(Address.DNS, 53, query(name, type));
      await guest.until(() => guest.udp.length > before);
      const { from, bytes } = guest.udp.at(-1)!;
      assertEquals([from, bytes[0], bytes[1]], [Address.DNS, 0x12, 0x34]);
      return { code: bytes[3] & 15, answers: bytes[7], content: [...bytes.subarray(-4)] };
    };
    assertEquals(await ask("known.example", 1), { code: 0, answers: 1, content: [1, 2, 3, 4] });
    assertEquals((await ask("unknown.example", 1)).code, 3);
    const { code, answers } = await ask("known.example", 28);
    assertEquals([code, answers], [0, 0]);
    assertEquals((await ask("known.example", 99)).code, 4);
  });
  server.close();
});

// ---- connections to the host's loopback ----

Deno.test("TCP to 10.0.2.2 reaches the host's loopback, with half-close, many at once", async () => {
  await using server = echoServer();
  await withNetwork("user", denoNetwork, async (guest, network) => {
    const sizes = [0, 1, 1460, 300_000, 70_000, 5, 100_000];
    const connections = sizes.map((size, i) => {
      const connection = guest.connect(Address.GATEWAY, server.port);
      connection.write(new Uint8Array(size).fill(65 + i));
      connection.shutdown();
      return connection;
    });
    for (const [i, connection] of connections.entries()) {
      await connection.until(({ state }) => state === "closed");
      const tail = `<${sizes[i]}>`;
      assertEquals(connection.received.length, sizes[i] + tail.length);
      assert(connection.received.slice(0, sizes[i]).every((byte) => byte === 65 + i));
      assertEquals(connection.text.slice(sizes[i]), tail);
    }
    assertEquals(network.busy, false);
  });
});

Deno.test("TCP waits for a guest that does not read, in bounded memory", async () => {
  await using server = echoServer();
  await withNetwork("user", denoNetwork, async (guest) => {
    const connection = guest.connect(Address.GATEWAY, server.port), size = 1_000_000;
    connection.reading = false;
    connection.write(new Uint8Array(size).fill(7));
    connection.shutdown();
    await connection.until(({ end }) => end.incoming.room === 0);
    const frames = guest.frames.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert(guest.frames.length - frames < 10, "frames to a guest whose window is closed");
    connection.reading = true;
    connection.take();
    await connection.until(({ state }) => state === "closed");
    assertEquals(connection.received.length, size + `<${size}>`.length);
  });
});

Deno.test("TCP is refused when nobody listens, and reset when the host resets", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  await withNetwork("user", denoNetwork, async (guest, network, notes) => {
    const connection = guest.connect(Address.GATEWAY, port);
    const accepted = await listener.accept();
    await connection.until(({ state }) => state === "open");
    // Closed with bytes that nobody read: the host resets.
    connection.write(utf8.encode("unread"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    accepted.close();
    await connection.until(({ state, end }) => state === "reset" || end.peerClosed);
    connection.write(utf8.encode("more"));
    await connection.until(({ state }) => state === "reset");
    listener.close();
    const refused = await guest.connect(Address.GATEWAY, port).until(({ state }) =>
      state === "reset"
    );
    assertEquals(refused.received, []);
    assert(notes.some((note) => note.includes(`cannot connect to 127.0.0.1:${port}`)), `${notes}`);
    // The guest's own reset ends the host's connection.
    assertEquals(network.busy, false);
  });
});

Deno.test("UserNetwork lets the guest reach only what it may", async () => {
  const tried: string[] = [];
  const host: NetworkHost = {
    ...NO_HOST,
    allowed: ({ address }) => addressText(address) !== "9.9.9.9",
    connect: (to) => {
      tried.push(addressText(to.address));
      return Promise.reject(new Error("refused"));
    },
  };
  const refused = ["127.0.0.1", "127.1.2.3", "0.0.0.0", "224.0.0.1", "255.255.255.255", "9.9.9.9"];
  const attempt = async (options: string, addresses: string[]) => {
    await withNetwork(options, host, async (guest) => {
      for (const address of addresses) {
        const connection = guest.connect(parseAddress(address)!, 80);
        await connection.until(({ state }) => state === "reset");
        guest.datagram(parseAddress(address)!, 80, utf8.encode("x"));
      }
    });
    return tried.splice(0);
  };
  assertEquals(await attempt("user", [...refused, "10.0.2.77", "10.0.2.3"]), []);
  assertEquals(await attempt("user", ["10.0.2.2", "9.9.9.8"]), ["127.0.0.1", "9.9.9.8"]);
  assertEquals(await attempt("user,loopback=off", ["10.0.2.2", "9.9.9.8"]), ["9.9.9.8"]);
  assertEquals(await attempt("user,restrict=on", ["10.0.2.2", "9.9.9.8"]), []);
});

Deno.test("UDP reaches the host's loopback, and only answers come back", async () => {
  const stranger = await denoNetwork.datagrams({ address: Address.LOOPBACK, port: 0 }, () => {});
  const echo = await denoNetwork.datagrams(
    { address: Address.LOOPBACK, port: 0 },
    (bytes, from) => {
      stranger.send(utf8.encode("unasked"), from.address, from.port);
      echo.send(utf8.encode(`echo ${bytes.length}`), from.address, from.port);
    },
  );
  await withNetwork("user", denoNetwork, async (guest, network) => {
    guest.datagram(Address.GATEWAY, echo.port, utf8.encode("abc"));
    guest.datagram(Address.GATEWAY, echo.port, new Uint8Array(1400));
    await guest.until(() => guest.udp.length === 2);
    const { from, port, toPort } = guest.udp[0];
    assertEquals([from, port, toPort], [Address.GATEWAY, echo.port, 999]);
    const texts = guest.udp.map(({ bytes }) => new TextDecoder().decode(bytes));
    assertEquals(texts.toSorted(), ["echo 1400", "echo 3"]);
    assertEquals(network.busy, true);
  });
  echo.close();
  stranger.close();
});

Deno.test("a forwarded port leads to the guest's TCP and UDP services", async () => {
  const options = "user,restrict=on,hostfwd=tcp::0-:80,hostfwd=udp:127.0.0.1:0-10.0.2.15:7";
  await withNetwork(options, denoNetwork, async (guest, network) => {
    const [web, echo] = network.forwarded;
    guest.listen(80, (connection) => {
      void connection.until(({ text }) => text.includes("\r\n\r\n")).then(({ text }) => {
        const body = text.split(" ")[1].repeat(40_000);
        const head =
          `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
        connection.write(utf8.encode(head + body));
        connection.shutdown();
      });
    });
    const bodies = await Promise.all(["/a", "/bc"].map(async (path) => {
      const response = await fetch(`http://127.0.0.1:${web}${path}`);
      return await response.text();
    }));
    assertEquals(bodies, ["/a".repeat(40_000), "/bc".repeat(40_000)]);
    const answers: string[] = [];
    const got = Promise.withResolvers<void>();
    const client = await denoNetwork.datagrams({ address: Address.LOOPBACK, port: 0 }, (bytes) => {
      answers.push(new TextDecoder().decode(bytes));
      got.resolve();
    });
    client.send(utf8.encode("to the guest"), Address.LOOPBACK, echo);
    await guest.until(() => guest.udp.length === 1);
    const { from, port, toPort, bytes } = guest.udp[0];
    assertEquals([from, toPort], [Address.GATEWAY, 7]);
    guest.datagram(from, port, bytes, 7);
    await got.promise;
    assertEquals(answers, ["to the guest"]);
    client.close();
  });
});

Deno.test("UserNetwork forgets connections when the guest starts anew", async () => {
  await using server = echoServer();
  await withNetwork("user", denoNetwork, async (guest, network) => {
    const connection = guest.connect(Address.GATEWAY, server.port);
    await connection.until(({ state }) => state === "open");
    guest.datagram(Address.GATEWAY, 9, utf8.encode("x"));
    assertEquals(network.busy, true);
    network.restart();
    assertEquals(network.busy, false);
    connection.write(utf8.encode("anybody there?"));
    await connection.until(({ state }) => state === "reset");
  });
});

Deno.test("parseNetwork and UserNetwork.open say what is wrong", async () => {
  const cases: [text: string, message: string][] = [
    ["tap", 'there is no kind "tap"'],
    ["user,hostfwd=tcp:80", "hostfwd=tcp:80 is no forward"],
    ["user,hostfwd=sctp::1-:2", "is no forward"],
    ["user,restrict=maybe", "restrict is on or off"],
    ["user,mtu=9000", 'there is no option "mtu=9000"'],
    ["user,", 'there is no option ""'],
  ];
  for (const [text, message] of cases) assertThrows(() => parseNetwork(text), RangeError, message);
  const opened: [text: string, message: string][] = [
    ["user,hostfwd=tcp:1.2.3:80-:80", 'the address "1.2.3"'],
    ["user,hostfwd=tcp::80-8.8.8.8:80", "it is not in 10.0.2.0/24"],
    ["user,hostfwd=tcp::66666-:80", "the port 66666"],
    ["user,dns=example.org", 'the address "example.org"'],
  ];
  for (const [text, message] of opened) {
    await assertRejects(() => UserNetwork.open(parseNetwork(text), NO_HOST), RangeError, message);
  }
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken = `user,hostfwd=tcp::${listener.addr.port}-:80`;
  await assertRejects(() => UserNetwork.open(parseNetwork(taken), denoNetwork), Error, "in use");
  listener.close();
});

// ---- a hostile guest ----

Deno.test("UserNetwork has bounded tables when a guest asks for everything", async () => {
  let connects = 0, sockets = 0;
  const host: NetworkHost = {
    ...NO_HOST,
    connect: () => {
      connects++;
      return new Promise(() => {});
    },
    datagrams: () => {
      sockets++;
      return Promise.resolve({ port: 1, send: () => {}, close: () => void sockets-- });
    },
  };
  await withNetwork("user", host, async (guest, _network, notes) => {
    for (let i = 0; i < 2 * MAX_CONNECTIONS; i++) guest.connect(0x01010101, 1 + i);
    assertEquals(connects, MAX_CONNECTIONS);
    assert(notes.some((note) => note.includes("connections already")));
    for (let i = 0; i < 3 * MAX_PORTS; i++) {
      guest.datagram(0x01010101, 9, utf8.encode("x"), 100 + i);
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert(sockets <= MAX_PORTS, `${sockets} sockets`);
    for (let i = 0; i < 1000; i++) guest.connect(0x7f000001 + i, 1);
    assert(notes.length <= 100);
  });
});

Deno.test("UserNetwork neither throws nor sends nonsense when frames are random", async () => {
  const host: NetworkHost = {
    ...NO_HOST,
    connect: () =>
      Promise.resolve({
        read: () => new Promise(() => {}),
        write: (bytes) => Promise.resolve(bytes.length),
        closeWrite: () => Promise.resolve(),
        close: () => {},
      }),
  };
  const next = xorshiftBelow(99);
  await withNetwork("user", host, async (guest, network) => {
    const route = guest.route(Address.GATEWAY), ports = { sourcePort: 5, destinationPort: 53 };
    const segment = {
      ...{ sourcePort: 5, destinationPort: 6, sequence: 1, acknowledgment: 1, window: 9 },
      ...{ mss: 1460, scale: 3, payload: utf8.encode("payload") },
    };
    const seeds = [
      makeUdp(route, { sourcePort: 68, destinationPort: 67, payload: dhcp(1) })[0],
      makeUdp(guest.route(Address.DNS), { ...ports, payload: query("a.example", 1) })[0],
      makeTcp(route, { ...segment, flags: Tcp.SYN }),
      makeTcp(route, { ...segment, flags: Tcp.ACK }),
      makeTcp(route, { ...segment, flags: Tcp.ACK | Tcp.FIN }),
      Uint8Array.from([...BROADCAST, ...GUEST_MAC, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...new Array(20)]),
    ];
    for (let i = 0; i < 20_000; i++) {
      const frame = Uint8Array.from(seeds[next(seeds.length)]);
      for (let n = next(6); n > 0; n--) frame[12 + next(frame.length - 12)] = next(256);
      // Otherwise nearly all would end at the header's checksum.
      if (next(4) > 0 && frame.length > 34) {
        frame[14] = 0x45;
        frame[24] = frame[25] = 0;
        const sum = checksum(frame.subarray(14, 34));
        frame[24] = sum >> 8;
        frame[25] = sum & 255;
      }
      network.receive(next(3) === 0 ? frame.subarray(0, next(frame.length + 1)) : frame);
      if (next(10) === 0) network.flush();
      if (i % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    assert(guest.frames.length > 1000, `${guest.frames.length} answers`);
    for (const frame of guest.frames) {
      assert(frame.length <= 1514);
      if (frame[13] === 0) assertEquals(checksum(frame.subarray(14, 34)), 0);
    }
  });
});

Deno.test("VirtioNet drops frames when the guest offers no buffers, and refuses giants", async () => {
  const network = await UserNetwork.open({}, NO_HOST);
  const card = new VirtioNet(network);
  assertEquals(card.ready(), false);
  card.send(new Uint8Array(60));
  let offered = 0;
  const got: number[] = [];
  card.start({
    pop: () => {
      const chain = { writeLength: 2000, write: (bytes: Uint8Array) => bytes.length };
      return offered-- > 0 ? chain as unknown as Chain : undefined;
    },
    push: (_queue, _chain, written) => void got.push(written),
  });
  for (let i = 0; i < 1000; i++) card.send(new Uint8Array(60));
  assertEquals(card.ready(), false);
  card.send(new Uint8Array(1515));
  offered = 1000;
  card.notify(0);
  assertEquals([got.length, got[0], card.ready()], [256, 72, true]);
  network.close();
});
