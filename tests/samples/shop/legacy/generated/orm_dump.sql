select   "t0"."id"as"c0" from "t0"where 1=1
