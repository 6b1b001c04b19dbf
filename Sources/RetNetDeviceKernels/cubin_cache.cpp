// Compiled kernels in the user's cache folder.
#include "RetNetDeviceKernels/cubin_cache.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace retnet::device {
namespace {

// The first line of a file; the digest of the code and a newline follow, then the code.
constexpr const char kHeader[] = "retnet device kernel 1\n";
constexpr size_t kDigestSize = 64;
// No kernel comes near it; a file that is longer was not written here.
constexpr off_t kLongest = 64 << 20;

constexpr std::array<uint32_t, 64> kRounds{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t rotated(uint32_t x, int count) { return x >> count | x << (32 - count); }

void digest_block(std::array<uint32_t, 8> &state, const unsigned char *block) {
  std::array<uint32_t, 64> w;
  for (int i = 0; i < 16; i++)
    w[i] = uint32_t(block[4 * i]) << 24 | uint32_t(block[4 * i + 1]) << 16 | uint32_t(block[4 * i + 2]) << 8 |
           block[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (int i = 0; i < 64; i++) {
    uint32_t t1 = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + kRounds[i] + w[i];
    uint32_t t2 = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const uint32_t next[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; i++)
    state[i] += next[i];
}

// Makes a folder and those above it, for the user alone.
bool make_folder(const std::string &path) {
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1))
    mkdir(path.substr(0, end).c_str(), 0700);
  return mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
}

bool write_all(int file, const std::string &bytes) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count = ::write(file, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

} // namespace

std::string digest(const std::string &bytes) {
  std::array<uint32_t, 8> state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  auto data = reinterpret_cast<const unsigned char *>(bytes.data());
  size_t whole = bytes.size() / 64 * 64;
  for (size_t i = 0; i < whole; i += 64)
    digest_block(state, data + i);
  unsigned char tail[128] = {};
  size_t rest = bytes.size() - whole, size = rest < 56 ? 64 : 128;
  if (rest)
    memcpy(tail, data + whole, rest);
  tail[rest] = 0x80;
  uint64_t bits = uint64_t(bytes.size()) * 8;
  for (int i = 0; i < 8; i++)
    tail[size - 1 - i] = static_cast<unsigned char>(bits >> 8 * i);
  for (size_t i = 0; i < size; i += 64)
    digest_block(state, tail + i);
  char text[kDigestSize + 1];
  for (int i = 0; i < 8; i++)
    snprintf(text + 8 * i, 9, "%08x", state[i]);
  return text;
}

std::string cache_key(const std::vector<std::string> &parts) {
  std::string all;
  for (const auto &part : parts)
    all += std::to_string(part.size()) + ":" + part;
  return digest(all);
}

std::optional<std::string> CubinCache::read(const std::string &key) const {
  if (folder_.empty())
    return std::nullopt;
  int file = open(path(key).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return std::nullopt;
  std::string bytes;
  struct stat status;
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= kLongest) {
    bytes.resize(static_cast<size_t>(status.st_size));
    size_t done = 0;
    while (done < bytes.size()) {
      ssize_t count = ::read(file, bytes.data() + done, bytes.size() - done);
      if (count < 0 && errno == EINTR)
        continue;
      if (count <= 0)
        break;
      done += static_cast<size_t>(count);
    }
    bytes.resize(done);
  }
  close(file);
  const size_t header = sizeof(kHeader) - 1, start = header + kDigestSize + 1;
  if (bytes.size() <= start || bytes.compare(0, header, kHeader) != 0 || bytes[start - 1] != '\n')
    return std::nullopt;
  auto code = bytes.substr(start);
  if (bytes.compare(header, kDigestSize, digest(code)) != 0)
    return std::nullopt;
  return code;
}

bool CubinCache::write(const std::string &key, const std::string &code) const {
  if (folder_.empty() || !make_folder(folder_))
    return false;
  auto place = path(key), temporary = place + ".XXXXXX";
  int file = mkostemp(temporary.data(), O_CLOEXEC);
  if (file < 0)
    return false;
  bool written = write_all(file, kHeader + digest(code) + "\n" + code);
  written = close(file) == 0 && written;
  if (written && rename(temporary.c_str(), place.c_str()) == 0)
    return true;
  unlink(temporary.c_str());
  return false;
}

std::string CubinCache::standard_folder(const std::function<const char *(const char *)> &variable) {
  auto value = [&](const char *name) {
    auto text = variable(name);
    return std::string(text ? text : "");
  };
  if (auto folder = value("RETNET_KERNEL_CACHE"); !folder.empty())
    return folder;
  // Relative paths are to be ignored (XDG base directory specification).
  if (auto folder = value("XDG_CACHE_HOME"); folder.starts_with("/"))
    return folder + "/retnet/kernels";
  if (auto home = value("HOME"); !home.empty())
    return home + "/.cache/retnet/kernels";
  return "";
}

std::string CubinCache::standard_folder() {
  return standard_folder([](const char *name) -> const char * { return std::getenv(name); });
}

} // namespace retnet::device
