// Gloo is inside of LibTorch, whose packages leave its headers out. The files of this folder declare as much of it as
// `ProcessGroupGloo.hpp` names; nothing of it is called or laid out here.
#pragma once
