/*
 * tokenizer.h - text to token ids and back, as a model's own files say.
 *
 * Read are: SentencePiece BPE models (tokenizer.model), tokenizer.json with a
 * BPE model (byte-level or with a space mark), and tiktoken ranks: those of
 * Llama-3 and Qwen2 are known, others need a pattern. What a file holds is told by its content, not its name.
 * A tokenizer does not change once opened; threads may share it.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "text/text_buf.h"
#include "text/text_place.h"
#include "text/token_list.h"

struct tokenizer;

/* Longest text that is encoded at once. */
#define TOKENIZER_MAX_TEXT_BYTES ((size_t)1 << 30)

/* In a directory tokenizer.json is taken, else tokenizer.model, else its one
 * NAME.tiktoken. Beside it, tokenizer_config.json (else special_tokens_map.json)
 * names BOS and EOS and says whether a text begins with BOS; what it does not
 * say, the tokenizer's own file does. config.json is never asked. Tokens that
 * were added to a model without tokenizer.json are read from there or from
 * added_tokens.json.
 * ST_NOT_FOUND; ST_CORRUPT with the place; ST_UNSUPPORTED with the name of
 * what is not; ST_IO. */
enum status tokenizer_open(struct tokenizer **out, const char *dir_or_file, struct err *err);

/* The same with the regular expression that splits a text before tiktoken ranks
 * are applied, which such a file does not hold; NULL: only known ranks.
 * ST_INVALID also for a pattern that fails, or another kind of file. */
enum status tokenizer_open_split(struct tokenizer **out, const char *dir_or_file,
                                 const char *pattern, struct err *err);

/* The same from one file's bytes, which are borrowed for the call. */
enum status tokenizer_open_memory(struct tokenizer **out, const char *bytes, size_t n_bytes,
                                  struct err *err);
void tokenizer_close(struct tokenizer *tok); /* NULL is fine */

/* Appends the ids of the text to an initialised *out. Adds no special tokens;
 * those spelled in the text become their ids, as the file says (SentencePiece:
 * never). ST_INVALID, with nothing appended: not UTF-8, too long, or a text
 * that drives a pattern into its limits. */
enum status tokenizer_encode(const struct tokenizer *tok, const char *text, size_t n_bytes,
                             struct token_list *out, struct err *err);

/* A text that nobody vouches for, and where it stands among others. */
struct plain_text {
    const char *bytes; /* [n], borrowed for the call */
    size_t n;
    enum text_place place;
};
/* The same, but no part of the text becomes an added or special token, however
 * it is spelled. ST_INVALID also where the file's merges would make one. */
enum status tokenizer_encode_plain(const struct tokenizer *tok, const struct plain_text *text,
                                   struct token_list *out, struct err *err);

/* Appends the text of n ids to an initialised *out: well-formed UTF-8, special
 * tokens left out, U+FFFD where bytes make no character. Equal to what a
 * token_stream prints. ST_INVALID: an id without a piece; nothing is appended. */
enum status tokenizer_decode(const struct tokenizer *tok, const int32_t *id, size_t n,
                             struct text_buf *out, struct err *err);

int32_t tokenizer_bos(const struct tokenizer *tok); /* begins a text; -1: nothing does */
int32_t tokenizer_eos(const struct tokenizer *tok); /* -1: none */
/* Largest id + 1; a model's vocabulary may be padded beyond it. */
uint32_t tokenizer_n_vocab(const struct tokenizer *tok);
/* Whether the id prints nothing: control and unknown tokens, and those that the
 * file calls special. False for ids outside the vocabulary. */
bool tokenizer_is_special(const struct tokenizer *tok, int32_t id);

#endif
