-- Why: the same statements for both engines. What SQLite calls so is here called so.

-- The elements of a JSON array, in their order.
CREATE FUNCTION json_each(document text) RETURNS TABLE (key bigint, value text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100 AS $$
    SELECT place - 1, element
    FROM json_array_elements_text(document::json) WITH ORDINALITY AS elements (element, place)
$$;

CREATE FUNCTION group_concat_step(before text, next text, glue text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN next IS NULL THEN before WHEN before IS NULL THEN next
                ELSE before || glue || next END
$$;
CREATE AGGREGATE group_concat(text, text) (SFUNC = group_concat_step, STYPE = text);
