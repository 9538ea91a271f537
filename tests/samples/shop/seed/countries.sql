CREATE TABLE IF NOT EXISTS countries (
    country_code char(2) PRIMARY KEY,
    title text NOT NULL
);

INSERT INTO countries (country_code, title)
VALUES
('AT', 'Austria'),
('CN', '中国'),
('DE', 'Deutschland'),
('FR', 'France'),
('US', 'United States')
ON CONFLICT (country_code) DO NOTHING;
