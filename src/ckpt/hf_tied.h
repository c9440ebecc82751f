/* hf_tied -- weights that a model ties, where files hold them twice. Private to hf.c. */
#ifndef PLAIT_CKPT_HF_TIED_H
#define PLAIT_CKPT_HF_TIED_H

#include "ckpt/hf.h"

/* The config says whether the head is a copy of the token table; so do the weights. */
int model_settle_tie(struct model *m);
/* ERR_DATA where a copy is none. */
int model_check_tied(struct model *m);

#endif
