/*
 * generate_prompt.h - the prompt of `mspeckv generate` as token ids.
 */
#ifndef ORCHESTRATOR_GENERATE_PROMPT_H
#define ORCHESTRATOR_GENERATE_PROMPT_H

#include "orchestrator/generate_options.h"
#include "text/tokenizer.h"

/* Appends to an initialised, empty *out BOS (if the tokenizer puts it there) and
 * the text; or, with --chat, the text as the target's chat template asks it,
 * cut in the middle of the user's text where --prefill is shorter.
 * Without --chat the cut is the caller's. Errors of prompt_read, tokenizer_encode
 * and chat_template; ST_INVALID: a --prefill that the template alone fills. */
enum status generate_prompt_encode(struct token_list *out, const struct generate_options *opt,
                                   const struct tokenizer *tok, struct err *err);

#endif
