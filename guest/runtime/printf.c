/*
 * printf of the tiny C library: flags `-` and `0`, width, precision of strings, lengths hh h l ll z j t,
 * conversions d i u x X p c s %. Each call is one write.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Output is cut here, which is longer than anything that the examples print at once. */
#define LINE_SIZE 1024

struct line {
  char text[LINE_SIZE];
  size_t length;
};

static void put(struct line *line, char c) {
  if (line->length < LINE_SIZE) line->text[line->length++] = c;
}

static void pad(struct line *line, char c, int count) {
  while (count-- > 0) put(line, c);
}

/* Writes `text` in a field; a minus sign goes before padding zeros. */
static void field(struct line *line, const char *text, int length, int width, int left, int zero) {
  if (zero && !left && length > 0 && *text == '-') {
    put(line, *text++);
    length--;
    width--;
  }
  if (!left) pad(line, zero ? '0' : ' ', width - length);
  for (int i = 0; i < length; i++) put(line, text[i]);
  if (left) pad(line, ' ', width - length);
}

static uint64_t unsigned_argument(va_list *list, int size) {
  switch (size) {
    case 'L': return va_arg(*list, unsigned long long);
    case 'l': return va_arg(*list, unsigned long);
    case 'h': return (unsigned short)va_arg(*list, unsigned);
    case 'H': return (unsigned char)va_arg(*list, unsigned);
    default: return va_arg(*list, unsigned);
  }
}

static int64_t signed_argument(va_list *list, int size) {
  switch (size) {
    case 'L': return va_arg(*list, long long);
    case 'l': return va_arg(*list, long);
    case 'h': return (short)va_arg(*list, int);
    case 'H': return (signed char)va_arg(*list, int);
    default: return va_arg(*list, int);
  }
}

/* Digits from the end of `buffer` down; returns the first. */
static char *digits(char *end, uint64_t value, unsigned base, const char *set) {
  do *--end = set[value % base];
  while (value /= base);
  return end;
}

static void format_line(struct line *line, const char *format, va_list *list) {
  for (; *format; format++) {
    char buffer[24], *end = buffer + sizeof buffer, *text;
    int left = 0, zero = 0, width = 0, precision = -1, size = 0;
    if (*format != '%') {
      put(line, *format);
      continue;
    }
    for (format++; *format == '-' || *format == '0'; format++) {
      if (*format == '-') left = 1;
      else zero = 1;
    }
    if (*format == '*') {
      width = va_arg(*list, int);
      format++;
    }
    while (*format >= '0' && *format <= '9') width = width * 10 + *format++ - '0';
    if (*format == '.') {
      precision = 0;
      if (*++format == '*') {
        precision = va_arg(*list, int);
        format++;
      }
      while (*format >= '0' && *format <= '9') precision = precision * 10 + *format++ - '0';
    }
    for (;; format++) {
      if (*format == 'h') size = size == 'h' ? 'H' : 'h';
      else if (*format == 'l') size = size == 'l' ? 'L' : 'l';
      else if (*format == 'z' || *format == 't') size = 'l';
      else if (*format == 'j') size = 'L';
      else break;
    }
    switch (*format) {
      case 'd':
      case 'i': {
        const int64_t value = signed_argument(list, size);
        text = digits(end, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, "0123456789");
        if (value < 0) *--text = '-';
        field(line, text, (int)(end - text), width, left, zero);
        break;
      }
      case 'u':
        text = digits(end, unsigned_argument(list, size), 10, "0123456789");
        field(line, text, (int)(end - text), width, left, zero);
        break;
      case 'x':
        text = digits(end, unsigned_argument(list, size), 16, "0123456789abcdef");
        field(line, text, (int)(end - text), width, left, zero);
        break;
      case 'X':
        text = digits(end, unsigned_argument(list, size), 16, "0123456789ABCDEF");
        field(line, text, (int)(end - text), width, left, zero);
        break;
      case 'p':
        text = digits(end, (uintptr_t)va_arg(*list, void *), 16, "0123456789abcdef");
        *--text = 'x';
        *--text = '0';
        field(line, text, (int)(end - text), width, left, 0);
        break;
      case 'c':
        buffer[0] = (char)va_arg(*list, int);
        field(line, buffer, 1, width, left, 0);
        break;
      case 's': {
        int length = 0;
        text = va_arg(*list, char *);
        if (!text) text = "(null)";
        while ((precision < 0 || length < precision) && text[length]) length++;
        field(line, text, length, width, left, 0);
        break;
      }
      case '%': put(line, '%'); break;
      default: /* Shown as it stands, so that a conversion that is missing here is seen. */
        put(line, '%');
        if (!*format) return;
        put(line, *format);
    }
  }
}

/* Writes all of it, however small the pieces that the file takes. */
static int write_all(int fd, const char *text, size_t length) {
  size_t done = 0;
  while (done < length) {
    const ssize_t n = write(fd, text + done, length - done);
    if (n <= 0) return -1;
    done += (size_t)n;
  }
  return (int)length;
}

int dprintf(int fd, const char *restrict format, ...) {
  struct line line;
  va_list list;
  line.length = 0;
  va_start(list, format);
  format_line(&line, format, &list);
  va_end(list);
  return write_all(fd, line.text, line.length);
}

int printf(const char *restrict format, ...) {
  struct line line;
  va_list list;
  line.length = 0;
  va_start(list, format);
  format_line(&line, format, &list);
  va_end(list);
  return write_all(STDOUT_FILENO, line.text, line.length);
}

int puts(const char *text) { return printf("%s\n", text); }
