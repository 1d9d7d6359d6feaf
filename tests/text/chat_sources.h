/*
 * chat_sources.h - chat templates with the marks, blanks and switches of the
 * published ones, and what a question looks like by each (written from the
 * formats that the models' makers describe).
 */
#ifndef TESTS_TEXT_CHAT_SOURCES_H
#define TESTS_TEXT_CHAT_SOURCES_H

#define CHAT_SYSTEM_FIRST                                                                          \
    "{%- if messages[0]['role'] == 'system' -%}{%- set system_message = messages[0]['content'] "   \
    "-%}{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set loop_messages = messages "     \
    "-%}{%- endif -%}"

#define CHAT_LLAMA2                                                                                \
    CHAT_SYSTEM_FIRST                                                                              \
    "{% for m in loop_messages %}{% if loop.first and system_message is defined %}"                \
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + m['content'] %}"       \
    "{% else %}{% set content = m['content'] %}{% endif %}"                                        \
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"       \
    "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"

#define CHAT_LLAMA3                                                                                \
    "{% for m in messages %}{% set content = '<|start_header_id|>' + m['role'] + "                 \
    "'<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' %}"                            \
    "{% if loop.first %}{% set content = bos_token + content %}{% endif %}{{ content }}"           \
    "{% endfor %}{% if add_generation_prompt %}"                                                   \
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"

#define CHAT_LLAMA31                                                                               \
    "{{- bos_token }}\n{%- if not date_string is defined %}\n"                                     \
    "    {%- set date_string = \"26 Jul 2024\" %}\n{%- endif %}\n"                                 \
    "{%- if messages[0]['role'] == 'system' %}\n"                                                  \
    "    {%- set system_message = messages[0]['content']|trim %}\n"                                \
    "    {%- set messages = messages[1:] %}\n{%- else %}\n"                                        \
    "    {%- set system_message = \"\" %}\n{%- endif %}\n"                                         \
    "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n"                                \
    "{{- \"Cutting Knowledge Date: December 2023\\n\" }}\n"                                        \
    "{{- \"Today Date: \" + date_string + \"\\n\\n\" }}\n"                                         \
    "{{- system_message }}\n{{- \"<|eot_id|>\" }}\n"                                               \
    "{%- for m in messages %}\n    {{- '<|start_header_id|>' + m['role'] + "                       \
    "'<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}\n{%- endfor %}\n"           \
    "{%- if add_generation_prompt %}\n"                                                            \
    "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n"

#define CHAT_TURNS                                                                                 \
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"   \
    "{% if add_generation_prompt %}"
#define CHAT_ANSWER "{{ '<|im_start|>assistant\\n' }}{% endif %}"

#define CHAT_CHATML "{% for m in messages %}" CHAT_TURNS CHAT_ANSWER
#define CHAT_QWEN(text)                                                                            \
    "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"               \
    "{{ '<|im_start|>system\\n" text "<|im_end|>\\n' }}{% endif %}" CHAT_TURNS CHAT_ANSWER
#define CHAT_THINKS                                                                                \
    "{% for m in messages %}" CHAT_TURNS "{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
#define CHAT_VARIABLE                                                                              \
    "{% set system_message = 'It\\'s \"me\".' %}{% for m in messages %}{% if m['role'] == "        \
    "'system' %}{% set system_message = m['content'] %}{% endif %}"                                \
    "{% if loop.first %}{{ '<|im_start|>system\\n' + system_message + '<|im_end|>\\n' }}"          \
    "{% endif %}{% if m['role'] != 'system' %}"                                                    \
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endif %}"         \
    "{% endfor %}{% if add_generation_prompt %}" CHAT_ANSWER

#define CHAT_MISTRAL_OLD                                                                           \
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"                           \
    "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% elif m['role'] == 'assistant' %}"               \
    "{{ m['content'] + eos_token }}{% else %}"                                                     \
    "{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
#define CHAT_MISTRAL(open, close)                                                                  \
    CHAT_SYSTEM_FIRST                                                                              \
    "{{- bos_token }}{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"       \
    "{%- if loop.first and system_message is defined %}"                                           \
    "{{- \"" open "\" + system_message + \"\\n\\n\" + message[\"content\"] + \"" close "\" }}"     \
    "{%- else %}{{- \"" open "\" + message[\"content\"] + \"" close "\" }}{%- endif %}"            \
    "{%- else %}{{- \" \" + message[\"content\"]|trim + eos_token }}{%- endif %}{%- endfor %}"

#define CHAT_DATES      "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
#define CHAT_HEAD(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

struct chat_case {
    const char *form, *source;
    const char *system; /* NULL: not given */
    const char *user, *prompt;
};

static const struct chat_case chat_cases[] = {
    {"llama-2", CHAT_LLAMA2, NULL, " Hello \n", "<s>[INST] Hello [/INST]"},
    {"llama-2", CHAT_LLAMA2, " Be\tbrief. ", " Hello ",
     "<s>[INST] <<SYS>>\n Be\tbrief. \n<</SYS>>\n\n Hello [/INST]"},
    {"llama-3", CHAT_LLAMA3, NULL, "\n Hello\n\n",
     "<s>" CHAT_HEAD("user") "Hello<|eot_id|>" CHAT_HEAD("assistant")},
    {"llama-3", CHAT_LLAMA3, " Be brief.\n", "Hello",
     "<s>" CHAT_HEAD("system") "Be brief.<|eot_id|>" CHAT_HEAD("user") "Hello<|eot_id|>" CHAT_HEAD(
         "assistant")},
    {"llama-3", CHAT_LLAMA31, NULL, "Hello",
     "<s>" CHAT_HEAD("system") CHAT_DATES
     "<|eot_id|>" CHAT_HEAD("user") "Hello<|eot_id|>" CHAT_HEAD("assistant")},
    {"llama-3", CHAT_LLAMA31, "Be brief.", "Hello",
     "<s>" CHAT_HEAD("system") CHAT_DATES
     "Be brief.<|eot_id|>" CHAT_HEAD("user") "Hello<|eot_id|>" CHAT_HEAD("assistant")},
    {"chatml", CHAT_CHATML, NULL, " Hello\n",
     "<|im_start|>user\n Hello\n<|im_end|>\n<|im_start|>assistant\n"},
    {"chatml", CHAT_CHATML, "Be brief.", "Hello",
     "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
     "<|im_start|>assistant\n"},
    {"chatml", CHAT_QWEN("You are a helpful assistant."), NULL, "Hello",
     "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHello"
     "<|im_end|>\n<|im_start|>assistant\n"},
    {"chatml", CHAT_QWEN("You are Q."), "", "Hello",
     "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
     "<|im_start|>assistant\n"},
    {"chatml", CHAT_THINKS, NULL, "Hello",
     "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<think>\n"},
    {"chatml", CHAT_VARIABLE, NULL, "Hello",
     "<|im_start|>system\nIt's \"me\".<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
     "<|im_start|>assistant\n"},
    {"mistral", CHAT_MISTRAL_OLD, NULL, "Hello", "<s>[INST] Hello [/INST]"},
    {"mistral", CHAT_MISTRAL(" [INST] ", " [/INST]"), "Be brief.", "Hello",
     "<s> [INST] Be brief.\n\nHello [/INST]"},
    {"mistral", CHAT_MISTRAL("[INST] ", "[/INST]"), NULL, " Hello ", "<s>[INST]  Hello [/INST]"},
    {"mistral", CHAT_MISTRAL("[INST]", "[/INST]"), "Be brief.", "Hello",
     "<s>[INST]Be brief.\n\nHello[/INST]"},
};
enum { N_CHAT_CASES = sizeof chat_cases / sizeof chat_cases[0] };

#endif
