/*
 * fuzz_tokenizer_model.c - any bytes as a SentencePiece model or tiktoken
 * ranks; what opens must encode and decode without harm.
 */
#include "tests/fuzz/fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] == '{')
        return 0; /* another kind of file */
    fuzz_tokenizer_bytes((const char *)data, size);
    return 0;
}
