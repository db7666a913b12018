-- Where who fetches a blob gives it to the other processes while it comes.
ALTER TABLE fetches ADD COLUMN address TEXT;
UPDATE compatibility SET schema = 16;
