"""The write port: the one way in which invoice rows change. Engine, rollback, repair and sync all go through it."""
