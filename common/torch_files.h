/*
 * torch_files.h - the line for a checkpoint directory whose weights are PyTorch's `.bin` files,
 * which no program here opens.
 */
#ifndef COMMON_TORCH_FILES_H
#define COMMON_TORCH_FILES_H

#include "common/status.h"

/* ST_NOT_FOUND with the remedy if `dir` holds such files, ST_OK if it does not. For a directory
 * in which no safetensors file was found. */
enum status torch_files_refuse(const char *dir, struct err *err);

#endif
