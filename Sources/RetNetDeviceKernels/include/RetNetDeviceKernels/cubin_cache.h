// Compiled kernels in the user's cache folder.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace retnet::device {

// SHA-256 in 64 hexadecimal digits.
std::string digest(const std::string &bytes);

// Files are named by a digest of all that decides their contents, written beside their place and renamed into it, and
// carry a digest of the code: what does not match is as good as absent.
class CubinCache {
public:
  explicit CubinCache(std::string folder) : folder_(std::move(folder)) {}

  const std::string &folder() const { return folder_; }
  std::optional<std::string> read(const std::string &key) const;
  // False if the folder cannot be written, which costs time and nothing else.
  bool write(const std::string &key, const std::string &code) const;
  std::string path(const std::string &key) const { return folder_ + "/" + key + ".kernel"; }

  // RETNET_KERNEL_CACHE, else `retnet/kernels` in XDG_CACHE_HOME or ~/.cache; empty where there is none of them.
  // `variable` returns variables of the environment, null for those that are not set.
  static std::string standard_folder(const std::function<const char *(const char *)> &variable);
  static std::string standard_folder();

private:
  std::string folder_;
};

// The name of a compilation in the cache: a digest of the parts, each with its length.
std::string cache_key(const std::vector<std::string> &parts);

} // namespace retnet::device
