-- What every protocol needs, as macros over any table, view or CTE with the columns of `faces`. Names that begin with _
-- are the macros' own; nobody else should use such names.
--
-- A table macro takes the table's bare name first: `FROM balanced(train, n := 8000, seed := 1)`.
-- Draws are integer arithmetic on draw_key, which is stored with each face, so that they change neither with DuckDB's
-- version nor with its threads nor with other rows. Rows of videos without a face (sample_id is null, from
-- `faces_or_none`) are not faces: no count applies to them, and every drawing macro lets them through.

-- z * m modulo 2^64; z and m are UBIGINT
CREATE OR REPLACE MACRO multiply64(z, m) AS
    ((z::UHUGEINT * m::UHUGEINT) & 18446744073709551615::UHUGEINT)::UBIGINT;

-- z with its upper half laid over its lower one
CREATE OR REPLACE MACRO fold64(z) AS xor(z, z >> 32);

-- draw(draw_key, seed): a number of 64 bits; the order by it is the seed's shuffle. Multiply and fold in turn, as the
-- finaliser of SplitMix64 does and with its constants (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
-- OOPSLA 2014), with one fold fewer, since keys are SHA-256 to begin with: each fold doubles the expression. Every step can
-- be undone, so two faces have the same number only if they have the same draw_key.
--   SELECT * FROM faces WHERE draw(draw_key, 1) % 10 = 0
CREATE OR REPLACE MACRO draw(draw_key, seed) AS
    multiply64(fold64(multiply64(fold64(multiply64(
        xor(draw_key::UBIGINT,
            multiply64((seed::HUGEINT & 18446744073709551615::HUGEINT)::UBIGINT, 11400714819323198485)),
        13787848793156543929)), 10723151780598845931)), 11400714819323198485);

-- evenly(i, count, n): is the i-th of count things (from 0) among n that lie evenly? Exactly n of them are, all where
-- there are fewer; n = 1 is the middle one.
CREATE OR REPLACE MACRO evenly(i, count, n) AS
    ((i + 1) * n + count // 2) // count > (i * n + count // 2) // count;

-- footage(original_video, video_id): the real clip behind a video, which is itself where it is not a fake
CREATE OR REPLACE MACRO footage(original_video, video_id) AS coalesce(original_video, video_id);

-- clip(footage): a video's id without its quality: c23 and c40 of one clip are one clip
CREATE OR REPLACE MACRO clip(footage) AS regexp_replace(footage, '^([^/]+/[^/]+)/[^/]+/', '\1/');

-- identities(target_id, source_id, visible_id): the people in a video, as a list without nulls
CREATE OR REPLACE MACRO identities(target_id, source_id, visible_id) AS
    list_distinct(list_filter([target_id, source_id, visible_id], lambda id: id IS NOT NULL));

-- drawn_per(t, per, n, seed): up to n faces of each value of the column `per`, by seeded draw.
--   FROM drawn_per(train, method, n := 2000, seed := 1)
-- Faces are counted by the top 12 bits of their draw. So the n-th of each value, its edge, is found by sorting one bucket
-- alone, with ties broken by sample_id, and everything up to the edge is taken. Draws are made once, in a table that takes
-- the place of t: written out where they are needed, they are computed and planned at each place.
CREATE OR REPLACE MACRO drawn_per(t, per, n, seed) AS TABLE
    WITH _numbered AS (
        SELECT *, draw(draw_key, seed) AS _number FROM query_table(t)
    ), _buckets AS (
        SELECT per AS _part, _number >> 52 AS _bucket, count(*) AS _faces
        FROM _numbered WHERE sample_id IS NOT NULL GROUP BY ALL
    ), _filled AS (
        SELECT *, sum(_faces) OVER (PARTITION BY _part ORDER BY _bucket) AS _total FROM _buckets
    ), _last AS (
        SELECT _part, min(_bucket) AS _bucket, n - min(_total - _faces) AS _room
        FROM _filled WHERE _total >= n GROUP BY _part
    ), _edge AS (
        SELECT _part, _number AS _last_number, sample_id AS _last_id
        FROM _numbered JOIN _last ON per IS NOT DISTINCT FROM _part AND _number >> 52 = _bucket
        WHERE sample_id IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY _part ORDER BY _number, sample_id) = _room
    )
    SELECT _f.* EXCLUDE (_number)
    FROM _numbered _f LEFT JOIN _edge ON per IS NOT DISTINCT FROM _part
    WHERE sample_id IS NULL OR (_last_number IS NULL AND n > 0)
       OR _number < _last_number OR (_number = _last_number AND sample_id <= _last_id);

-- drawn(t, n, seed): up to n faces by seeded draw.  FROM drawn(train, n := 500, seed := 1)
CREATE OR REPLACE MACRO drawn(t, n, seed) AS TABLE FROM drawn_per(t, 0, n, seed);

-- per_class(t, n, seed): up to n real and up to n fake faces.  FROM per_class(train, n := 8000, seed := 1)
CREATE OR REPLACE MACRO per_class(t, n, seed) AS TABLE FROM drawn_per(t, label, n, seed);

-- balanced(t, n, seed): as many real as fake faces, n of each or as many as the rarer class has; without n the latter.
--   FROM balanced(train, n := 8000, seed := 1)   FROM balanced(train, seed := 1)
CREATE OR REPLACE MACRO balanced(t, seed, n := 9223372036854775807) AS TABLE
    WITH _numbered AS (
        SELECT *, draw(draw_key, seed) AS _number FROM query_table(t)
    ), _buckets AS (
        SELECT label AS _part, _number >> 52 AS _bucket, count(*) AS _faces
        FROM _numbered WHERE sample_id IS NOT NULL GROUP BY ALL
    ), _filled AS (
        SELECT *, sum(_faces) OVER (PARTITION BY _part ORDER BY _bucket) AS _total FROM _buckets
    ), _wanted AS (
        SELECT least(n, coalesce(sum(_faces) FILTER (_part = 0), 0), coalesce(sum(_faces) FILTER (_part = 1), 0))
               AS _each
        FROM _buckets
    ), _last AS (
        SELECT _part, min(_bucket) AS _bucket, _each - min(_total - _faces) AS _room
        FROM _filled, _wanted WHERE _total >= _each GROUP BY _part, _each
    ), _edge AS (
        SELECT _part, _number AS _last_number, sample_id AS _last_id
        FROM _numbered JOIN _last ON label = _part AND _number >> 52 = _bucket
        WHERE sample_id IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY _part ORDER BY _number, sample_id) = _room
    )
    SELECT _f.* EXCLUDE (_number)
    FROM _numbered _f LEFT JOIN _edge ON label = _part
    WHERE sample_id IS NULL OR _number < _last_number OR (_number = _last_number AND sample_id <= _last_id);

-- frames_per_video(t, n): up to n frames of every video, evenly spaced among those that t has of it (the same that `evenly`
-- picks); all faces of a frame that is taken.  FROM frames_per_video(train, n := 16)
CREATE OR REPLACE MACRO frames_per_video(t, n) AS TABLE
    WITH _videos AS (
        SELECT attempt AS _video, list(frame_index ORDER BY frame_index) AS _all,
               -- a frame is there twice only where there are several tracks; to look for that is dear
               CASE WHEN min(track) = max(track) THEN _all ELSE list_sort(list_distinct(_all)) END AS _frames
        FROM query_table(t) WHERE sample_id IS NOT NULL GROUP BY attempt
    ), _places AS (
        SELECT _video, _frames, unnest(range(1, least(n, len(_frames)) + 1)) AS _place FROM _videos
    ), _taken AS (
        SELECT _video, _frames[(_place * len(_frames) - len(_frames) // 2 + least(n, len(_frames)) - 1)
                               // least(n, len(_frames))] AS _frame
        FROM _places
    )
    SELECT _f.* FROM query_table(t) _f LEFT JOIN _taken ON _f.attempt = _video AND _f.frame_index = _frame
    WHERE _f.sample_id IS NULL OR _video IS NOT NULL;

-- frames_drawn(t, n, seed): up to n frames of every video by seeded draw; all faces of a frame that is taken.
--   FROM frames_drawn(train, n := 16, seed := 1)
CREATE OR REPLACE MACRO frames_drawn(t, n, seed) AS TABLE
    WITH _frames AS (
        SELECT attempt AS _video, frame_index AS _frame, min(draw(draw_key, seed)) AS _number
        FROM query_table(t) WHERE sample_id IS NOT NULL GROUP BY ALL
    ), _taken AS (
        SELECT _video, _frame FROM _frames
        QUALIFY row_number() OVER (PARTITION BY _video ORDER BY _number, _frame) <= n
    )
    SELECT _f.* FROM query_table(t) _f LEFT JOIN _taken ON _f.attempt = _video AND _f.frame_index = _frame
    WHERE _f.sample_id IS NULL OR _video IS NOT NULL;

-- without(t, other): the faces of t that are not faces of other.  FROM without(originals, f2f_train)
CREATE OR REPLACE MACRO without(t, other) AS TABLE
    SELECT _f.* FROM query_table(t) _f
    ANTI JOIN (SELECT coalesce(sample_id, video_id) AS _id FROM query_table(other)) _o
    ON coalesce(_f.sample_id, _f.video_id) = _o._id;

-- same_identities(t, other): faces of videos whose people (target, source and visible, as far as known) are all in other;
-- nothing of videos whose target nobody knows.  FROM same_identities(fakes, f2f_train)
CREATE OR REPLACE MACRO same_identities(t, other) AS TABLE
    WITH _known AS (
        SELECT DISTINCT unnest(identities(target_id, source_id, visible_id)) AS _id FROM query_table(other)
    )
    SELECT * FROM query_table(t)
    WHERE target_id IN (FROM _known)
      AND (source_id IS NULL OR source_id IN (FROM _known)) AND (visible_id IS NULL OR visible_id IN (FROM _known));

-- identity_disjoint(t, other): faces of videos none of whose people is in other, under whatever name (view relatives). A
-- person nobody knows cannot be compared: such videos stay.  FROM identity_disjoint(test, train)
CREATE OR REPLACE MACRO identity_disjoint(t, other) AS TABLE
    WITH _named AS (
        SELECT DISTINCT unnest(identities(target_id, source_id, visible_id)) AS _id FROM query_table(other)
    ), _known AS (
        FROM _named UNION SELECT relatives.other FROM relatives JOIN _named ON one = _id
    )
    SELECT * FROM query_table(t)
    WHERE (target_id IS NULL OR target_id NOT IN (FROM _known))
      AND (source_id IS NULL OR source_id NOT IN (FROM _known))
      AND (visible_id IS NULL OR visible_id NOT IN (FROM _known));

-- clip_disjoint(t, other): faces of videos whose footage, a fake's original clip or the clip itself, is not that of any
-- video in other.  FROM clip_disjoint(test, train)
CREATE OR REPLACE MACRO clip_disjoint(t, other) AS TABLE
    SELECT * FROM query_table(t)
    WHERE footage(original_video, video_id)
          NOT IN (SELECT footage(_o.original_video, _o.video_id) FROM query_table(other) _o);

-- identity_components(t): (identity, component) of everybody in t; people who meet in a video, directly or over others, are
-- in one component, named by its first identity. One component alone: no identity-disjoint split exists.
--   SELECT component, count(*) FROM identity_components(faces) GROUP BY ALL
CREATE OR REPLACE MACRO identity_components(t) AS TABLE
    WITH RECURSIVE _meetings AS (
        SELECT DISTINCT identities(target_id, source_id, visible_id) AS _people FROM query_table(t)
    ), _pairs AS (
        SELECT DISTINCT _a, _b
        FROM (SELECT unnest(_people) AS _a, _people FROM _meetings), unnest(_people) AS _p(_b)
    ), _spread(_identity, _component) USING KEY (_identity) AS (
        SELECT _a, min(_b) FROM _pairs GROUP BY _a
        UNION
        SELECT _b, min(_spread._component)
        FROM _spread
        JOIN _pairs ON _a = _spread._identity
        JOIN recurring._spread AS _reached ON _reached._identity = _b
        GROUP BY _b, _reached._component
        HAVING min(_spread._component) < _reached._component
    )
    SELECT _identity AS identity, _component AS component FROM _spread;

-- identity_folds(t, k): t with a column `fold` (0 .. k - 1) such that no person is in two folds: components are dealt out
-- like cards, the one with the most videos first. Videos of nobody known have fold null.
--   SELECT * FROM identity_folds(faces, k := 5) WHERE fold <> 0
CREATE OR REPLACE MACRO identity_folds(t, k) AS TABLE
    WITH _components AS (
        SELECT identity AS _identity, component AS _component FROM identity_components(t)
    ), _sizes AS (
        SELECT _component, count(DISTINCT video_id) AS _videos
        FROM query_table(t) JOIN _components ON _identity = coalesce(target_id, source_id, visible_id)
        GROUP BY _component
    ), _dealt AS (
        SELECT _component, (row_number() OVER (ORDER BY _videos DESC, _component) - 1) % k AS _fold FROM _sizes
    )
    SELECT _f.*, _fold AS fold
    FROM query_table(t) _f
    LEFT JOIN _components ON _identity = coalesce(_f.target_id, _f.source_id, _f.visible_id)
    LEFT JOIN _dealt USING (_component);

-- people_or_clip(target_id, source_id, visible_id, original_video, video_id): the people in a video; where nobody is known its
-- original clip stands for them
CREATE OR REPLACE MACRO people_or_clip(target_id, source_id, visible_id, original_video, video_id) AS
    CASE WHEN len(identities(target_id, source_id, visible_id)) > 0 THEN identities(target_id, source_id, visible_id)
         ELSE ['~clip ' || clip(footage(original_video, video_id))] END;

-- video_components(t): (video_id, component) of every video in t; videos that share a person, an original clip or a file, or
-- show known relatives, directly or over others, are in one component.
--   SELECT component, count(*) AS videos FROM video_components(faces) GROUP BY ALL
CREATE OR REPLACE MACRO video_components(t) AS TABLE
    WITH RECURSIVE _videos AS (
        SELECT DISTINCT video_id AS _video,
            list_concat(identities(target_id, source_id, visible_id),
                        ['~clip ' || clip(footage(original_video, video_id))],
                        CASE WHEN content IS NULL THEN []::VARCHAR[] ELSE ['~file ' || content] END) AS _nodes
        FROM query_table(t)
    ), _links AS (
        SELECT _nodes[1] AS _a, unnest(_nodes) AS _b FROM _videos
        UNION SELECT one, other FROM relatives
    ), _pairs AS (
        SELECT _a, _b FROM _links UNION SELECT _b, _a FROM _links UNION SELECT _b, _b FROM _links
        UNION SELECT _a, _a FROM _links
    ), _spread(_node, _component) USING KEY (_node) AS (
        SELECT _a, min(_b) FROM _pairs GROUP BY _a
        UNION
        SELECT _b, min(_spread._component)
        FROM _spread
        JOIN _pairs ON _a = _spread._node
        JOIN recurring._spread AS _reached ON _reached._node = _b
        GROUP BY _b, _reached._component
        HAVING min(_spread._component) < _reached._component
    )
    SELECT DISTINCT _video AS video_id, _component AS component FROM _videos JOIN _spread ON _node = _nodes[1];

-- identity_sides(t, val, test, seed): t with a column `side` (train, val, test) such that no person, original clip or file is
-- on two sides. Components are shuffled by seed and dealt out whole, those larger than the smaller share last; val and test
-- are the shares of the videos. How near the sizes come is for who asks to see: one component is all on one side.
--   SELECT * FROM identity_sides(faces, val := 0.15, test := 0.15, seed := 1) WHERE side = 'train'
CREATE OR REPLACE MACRO identity_sides(t, val, test, seed) AS TABLE
    WITH _components AS (
        SELECT video_id AS _video, component AS _component FROM video_components(t)
    ), _sizes AS (
        SELECT _component, count(*) AS _videos FROM _components GROUP BY _component
    ), _totals AS (
        SELECT *, sum(_videos) OVER () AS _all FROM _sizes
    ), _dealt AS (
        SELECT _component, _all,
               sum(_videos) OVER (ORDER BY _videos > least(val, test) * _all, md5(_component || ' ' || seed::VARCHAR),
                                           _component ROWS UNBOUNDED PRECEDING) - _videos / 2 AS _middle
        FROM _totals
    )
    SELECT _f.*, CASE WHEN _middle < test * _all THEN 'test' WHEN _middle < (test + val) * _all THEN 'val'
                      ELSE 'train' END AS side
    FROM query_table(t) _f JOIN _components ON _video = _f.video_id JOIN _dealt USING (_component);

-- with_partner(t): t with a column `partner_id`: for each fake the face in the same frame of its original clip, the nearest
-- one where there are several; null for real faces and where the original has no face in that frame.
--   SELECT sample_id, partner_id FROM with_partner(train)
-- Few frames have several faces, so only those are ordered by distance.
CREATE OR REPLACE MACRO with_partner(t) AS TABLE
    WITH _originals AS (
        SELECT _fake.attempt AS _of, _original.attempt AS _original
        FROM current_attempts _fake JOIN current_attempts _original
        ON _original.video_id = _fake.original_video AND _original.recipe_hash = _fake.recipe_hash
    ), _crowded AS (
        SELECT DISTINCT attempt AS _attempt, frame_index AS _frame
        FROM faces SEMI JOIN _originals ON attempt = _original WHERE track <> 0
    ), _nearest AS (
        SELECT _f.sample_id AS _id, _o.sample_id AS _partner
        FROM query_table(t) _f
        JOIN _originals ON _of = _f.attempt
        JOIN _crowded ON _attempt = _original AND _frame = _f.frame_index
        JOIN faces _o ON _o.attempt = _original AND _o.frame_index = _f.frame_index
        QUALIFY row_number() OVER (
            PARTITION BY _f.sample_id
            ORDER BY abs(_o.box_x + _o.box_w / 2 - _f.box_x - _f.box_w / 2)
                   + abs(_o.box_y + _o.box_h / 2 - _f.box_y - _f.box_h / 2) NULLS LAST, _o.sample_id) = 1
    ), _only AS (
        SELECT attempt AS _attempt, frame_index AS _frame, sample_id AS _partner
        FROM faces SEMI JOIN _originals ON attempt = _original
        ANTI JOIN _crowded ON _crowded._attempt = attempt AND _crowded._frame = frame_index
    )
    SELECT _f.*, coalesce(_nearest._partner, _only._partner) AS partner_id
    FROM query_table(t) _f
    LEFT JOIN _originals ON _of = _f.attempt
    LEFT JOIN _only ON _only._attempt = _original AND _only._frame = _f.frame_index
    LEFT JOIN _nearest ON _id = _f.sample_id;

-- with_persons(t): t with visible_id from the clusters of faces (`deepshard persons`) where names leave room for it: where it
-- is null or repeats the target or the source, of real videos and of those in which nobody is named. The person with most
-- faces counts.  FROM identity_sides(known, val := 0.15, test := 0.15, seed := 1), where known AS (FROM with_persons(faces))
CREATE OR REPLACE MACRO with_persons(t) AS TABLE
    WITH _seen AS (
        SELECT video_id AS _video, content AS _content, arg_max(person, (faces, -track)) AS _person
        FROM persons GROUP BY ALL
    )
    SELECT _f.* REPLACE (
        CASE WHEN _person IS NOT NULL
                  AND (_f.label = 0 OR coalesce(_f.target_id, _f.source_id, _f.visible_id) IS NULL)
                  AND coalesce(_f.visible_id IN (_f.target_id, _f.source_id), _f.visible_id IS NULL)
             THEN '~person ' || _person ELSE _f.visible_id END AS visible_id)
    FROM query_table(t) _f LEFT JOIN _seen ON _video = _f.video_id AND _content = _f.content;
