/* class_names -- id2label of a config and the labels of the data, made one. */
#ifndef PLAIT_TRAIN_CLASS_NAMES_H
#define PLAIT_TRAIN_CLASS_NAMES_H

#include "data/labels.h"
#include "models/config.h"

/* trained: the classification head has its classes; else the config takes what the data has: id2label,
 * label2id, problem_type. ERR_DATA when the data has others. */
int class_names_settle(struct label_set *l, struct config *c, bool trained);

#endif
