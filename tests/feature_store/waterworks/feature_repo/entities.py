from feast import Entity, ValueType

site = Entity(name="site", join_keys=["site"], value_type=ValueType.STRING)
meter = Entity(name="meter", join_keys=["meter"], value_type=ValueType.STRING)
