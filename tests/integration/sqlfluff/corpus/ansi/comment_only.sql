-- nothing here
/* nor
   here */
