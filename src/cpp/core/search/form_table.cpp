#include "core/search/form_table.hpp"

#include <algorithm>
#include <random>

#include "core/search/string_table.hpp"
#include "core/search/unicode.hpp"

namespace likewise::search {
namespace {

constexpr std::size_t kLongest = 1024;  // longer surfaces are not kept: hardly ever seen twice

std::uint64_t process_seed() {
  static const std::uint64_t seed = [] {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
  }();
  return seed;
}

}  // namespace

FormTable::FormTable(const Analyzer& analyzer)
    : analyzer_(analyzer),
      lower_(analyzer.analysis().lowercase ? 0x2020202020202020u : 0),
      seed_(process_seed()),
      slots_(1024),
      mask_(slots_.size() - 1) {}

FormTable::Slot* FormTable::find_key(std::string_view text, bool raw, Key& key) {
  key.size = static_cast<std::uint32_t>(text.size()) | (raw ? kRaw : 0);
  key.low = key.high = 0;
  if (text.size() <= kInline) {
    if (!text.empty()) std::memcpy(&key.low, text.data(), std::min<std::size_t>(8, text.size()));
    if (text.size() > 8) std::memcpy(&key.high, text.data() + 8, text.size() - 8);
    key.hash = hash(key.low, key.high, key.size);
    return find_slot(key);
  }
  key.low = hash_bytes(text) ^ seed_;
  key.hash = hash(key.low, 0, key.size);
  const std::uint32_t stored = key.size + 1;
  for (std::size_t at = key.hash & mask_;; at = (at + 1) & mask_) {
    Slot& slot = slots_[at];
    if (slot.size == 0) return &slot;
    if (slot.low != key.low || slot.size != stored) continue;
    const std::vector<char>& arena = raw ? surfaces_ : bytes_;
    if (std::string_view(arena.data() + slot.high, text.size()) == text) return &slot;
  }
}

void FormTable::place(const Slot& slot) {
  const std::uint32_t size = slot.size - 1;
  const bool in_place = (size & ~kRaw) <= kInline;
  std::size_t at = hash(slot.low, in_place ? slot.high : 0, size) & mask_;
  while (slots_[at].size != 0) at = (at + 1) & mask_;
  slots_[at] = slot;
}

void FormTable::insert(const Key& key, std::uint32_t value) {
  if (3 * (used_ + 1) > 2 * slots_.size()) {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old)
      if (slot.size != 0) place(slot);
  }
  place({key.low, key.high, key.size + 1, value});
  ++used_;
}

std::uint32_t FormTable::add_form(std::string_view form) {
  if (size() >= kOverlong) throw value_error("documents: expected fewer than 2**32 - 2 distinct tokens");
  bytes_.insert(bytes_.end(), form.begin(), form.end());
  offsets_.push_back(bytes_.size());
  return static_cast<std::uint32_t>(size() - 1);
}

std::uint32_t FormTable::find_form(std::string_view form, Analyzer::Verdict verdict) {
  if (verdict == Analyzer::Verdict::overlong) return kOverlong;
  Key key;
  const Slot* slot = find_key(form, false, key);
  if (slot->size != 0) return slot->value;
  if (form.size() > kInline) key.high = bytes_.size();
  const std::uint32_t value = verdict == Analyzer::Verdict::kept ? add_form(form) : kDropped;
  // A dropped form is not in the arena of forms; only short ones are worth a slot.
  if (value != kDropped || form.size() <= kInline) insert(key, value);
  return value;
}

std::uint32_t FormTable::add(const Key& key) {
  char text[kInline];
  std::memcpy(text, &key.low, 8);
  std::memcpy(text + 8, &key.high, 8);
  if ((key.size & kRaw) != 0) return find({text, key.size & ~kRaw});
  const Analyzer::Verdict verdict = analyzer_.form({text, key.size}, scratch_);
  return find_form({text, key.size}, verdict);
}

std::uint32_t FormTable::find_long_ascii(std::string_view surface) {
  if (surface.size() > analyzer_.analysis().max_length) return kOverlong;
  scratch_ = surface;
  const auto bit = static_cast<unsigned char>(lower_ & 0x20);
  for (char& c : scratch_) c = static_cast<char>(static_cast<unsigned char>(c) | bit);
  Key key;
  const Slot* slot = find_key(scratch_, false, key);
  if (slot->size != 0) return slot->value;
  std::string form;
  const Analyzer::Verdict verdict = analyzer_.form(scratch_, form);
  return find_form(form, verdict);
}

std::uint32_t FormTable::find(std::string_view surface) {
  if (analyzer_.analysis().words == Words::given) {
    if (surface.size() >= kRaw - 1) throw value_error("documents: expected tokens shorter than 2**31 bytes");
    return find_form(surface, Analyzer::Verdict::kept);
  }
  if (surface.size() > kLongest) {
    std::string form;
    const Analyzer::Verdict verdict = analyzer_.form(surface, form);
    return find_form(form, verdict);
  }
  Key key;
  const Slot* slot = find_key(surface, true, key);
  if (slot->size != 0) return slot->value;
  std::string form;
  const Analyzer::Verdict verdict = analyzer_.form(surface, form);
  const std::uint32_t value = find_form(form, verdict);
  if (surface.size() > kInline) {
    key.high = surfaces_.size();
    surfaces_.insert(surfaces_.end(), surface.begin(), surface.end());
  }
  insert(key, value);
  return value;
}

}  // namespace likewise::search
