#pragma once
// The opcodes of pickle, protocols 0 to 5, as Python's pickletools documents them.

#include <cstdint>

namespace stele::pickle {

enum class Opcode : std::uint8_t {
  // protocol 0: arguments are lines of text
  mark = '(',
  stop = '.',
  pop = '0',
  pop_mark = '1',
  dup = '2',
  real = 'F',
  integer = 'I',
  big_integer = 'L',
  none = 'N',
  persistent_line = 'P',
  reduce = 'R',
  string = 'S',
  unicode = 'V',
  append = 'a',
  build = 'b',
  global = 'c',
  dict = 'd',
  get = 'g',
  inst = 'i',
  list = 'l',
  put = 'p',
  set_item = 's',
  tuple = 't',
  // protocol 1: arguments are binary
  bin_real = 'G',
  bin_integer4 = 'J',
  bin_integer1 = 'K',
  bin_integer2 = 'M',
  persistent = 'Q',
  bin_string = 'T',
  short_bin_string = 'U',
  bin_unicode = 'X',
  appends = 'e',
  bin_get = 'h',
  long_bin_get = 'j',
  obj = 'o',
  bin_put = 'q',
  long_bin_put = 'r',
  set_items = 'u',
  empty_tuple = ')',
  empty_list = ']',
  empty_dict = '}',
  // protocol 2
  protocol = 0x80,
  new_object = 0x81,
  extension1 = 0x82,
  extension2 = 0x83,
  extension4 = 0x84,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  new_true = 0x88,
  new_false = 0x89,
  long1 = 0x8a,
  long4 = 0x8b,
  // protocol 3
  bin_bytes = 'B',
  short_bin_bytes = 'C',
  // protocol 4
  short_bin_unicode = 0x8c,
  bin_unicode8 = 0x8d,
  bin_bytes8 = 0x8e,
  empty_set = 0x8f,
  add_items = 0x90,
  frozen_set = 0x91,
  new_object_ex = 0x92,
  stack_global = 0x93,
  memoize = 0x94,
  frame = 0x95,
  // protocol 5
  byte_array8 = 0x96,
  next_buffer = 0x97,
  readonly_buffer = 0x98,
};

}  // namespace stele::pickle
