/*
 * Generated from backdoor/protocol.ts by guest/generate_protocol.ts; do not edit.
 * That file says what each value means. Macros only, so that assembler can include it.
 */
#ifndef TRAPDOOR_PROTOCOL_H
#define TRAPDOOR_PROTOCOL_H

/* Version, major << 16 | minor. Equal majors talk to each other. */
#define TRAPDOOR_PROTOCOL_VERSION 0x00010000
#define TRAPDOOR_CONFIG_MAGIC_BYTES "TRAPDOOR"
#define TRAPDOOR_NUM_ARGS 4
#define TRAPDOOR_DEFAULT_BASE_PATH "/dev/trapdoor"

/* Kinds of request of the instruction transport. */
#define TRAPDOOR_KIND_HELLO 0
#define TRAPDOOR_KIND_CALL 1
#define TRAPDOOR_KIND_ATTACH 2
#define TRAPDOOR_KIND_DETACH 3
#define TRAPDOOR_KIND_CALL_BLOCK 4
#define TRAPDOOR_KIND_FLUSH 5

/* Answers. */
#define TRAPDOOR_STATUS_OK 0
#define TRAPDOOR_STATUS_UNKNOWN 1
#define TRAPDOOR_STATUS_THREW 2
#define TRAPDOOR_STATUS_VERSION 3
#define TRAPDOOR_STATUS_INVALID 4
#define TRAPDOOR_STATUS_UNSUPPORTED 5
#define TRAPDOOR_STATUS_NOBODY (-1)

/* Config area: byte offsets of 64-bit words, and its size. */
#define TRAPDOOR_CONFIG_MAGIC 0
#define TRAPDOOR_CONFIG_VERSION 8
#define TRAPDOOR_CONFIG_MAX_CLIENTS 16
#define TRAPDOOR_CONFIG_NUM_ARGS 24
#define TRAPDOOR_CONFIG_CLIENT_DATA_SIZE 32
#define TRAPDOOR_CONFIG_CONTROL_SIZE 40
#define TRAPDOOR_CONFIG_DATA_SIZE 48
#define TRAPDOOR_CONFIG_RING_OFFSET 56
#define TRAPDOOR_CONFIG_RING_STRIDE 64
#define TRAPDOOR_CONFIG_RING_SIZE 72
#define TRAPDOOR_CONFIG_SIZE 4096

/* Control slot: byte offsets, and its size. */
#define TRAPDOOR_CONTROL_COMMAND 0
#define TRAPDOOR_CONTROL_ARGS 8
#define TRAPDOOR_CONTROL_RESULT 40
#define TRAPDOOR_CONTROL_STATUS 48
#define TRAPDOOR_CONTROL_DOORBELL 56
#define TRAPDOOR_CONTROL_SIZE 64

/* Values stored to a doorbell. */
#define TRAPDOOR_DOORBELL_CALL 1
#define TRAPDOOR_DOORBELL_FLUSH 2

/* Ring: byte offsets, record header, the padding command. */
#define TRAPDOOR_RING_HEAD 0
#define TRAPDOOR_RING_TAIL 4
#define TRAPDOOR_RING_BUFFER 64
#define TRAPDOOR_RING_RECORD_SIZE 0
#define TRAPDOOR_RING_RECORD_COMMAND 4
#define TRAPDOOR_RING_RECORD_HEADER 8
#define TRAPDOOR_RING_PAD 0xffffffff

/* The PCI device. */
#define TRAPDOOR_PCI_VENDOR 6900
#define TRAPDOOR_PCI_DEVICE 4336
#define TRAPDOOR_PCI_SUBSYSTEM_VENDOR 21572
#define TRAPDOOR_PCI_SUBSYSTEM 1

/* Physical address of config, control and data, one after the other, on the board virt. */
#define TRAPDOOR_VIRT_ADDRESS 0x04000000

#endif
