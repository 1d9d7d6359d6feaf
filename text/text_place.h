/*
 * text_place.h - where a text that is encoded by itself stands in the whole.
 *
 * Tokenizers put a space mark in front of some of them.
 */
#ifndef TEXT_TEXT_PLACE_H
#define TEXT_TEXT_PLACE_H

enum text_place {
    TEXT_AT_START,    /* the whole input begins with it */
    TEXT_AFTER_TOKEN, /* directly behind a special token */
    TEXT_WITHIN,      /* continues a text that was encoded before it: no mark is added */
};

#endif
