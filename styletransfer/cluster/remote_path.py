"""Files of object stores (s3://, gs://) and of other file systems that pyarrow reaches. Imports pyarrow alone."""
