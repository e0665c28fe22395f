(func $region_10000 (param $pc i32) (param $depth i32) (param $fuel i32) (result i32 i32)
  (local $slot10 i64) (local $slot1 i64) (local $slot11 i64) (local $slot12 i64) (local $address i64) (local $index i32)
  block ;; @1
    block (result i32) ;; @2
      block (result i32) ;; @3
        block (result i32) ;; @4
          block (result i32) ;; @5
            i32.const 0
            i64.load offset=80
            local.set $slot10
            i32.const 0
            i64.load offset=8
            local.set $slot1
            i32.const 0
            i64.load offset=96
            local.set $slot12
            block ;; @6
              local.get $fuel
              i32.const 1
              i32.sub
              local.set $fuel
              local.get $slot10
              i64.const 0
              i64.eq
              if ;; @7
                br 1 (;@6;)
              else
                local.get $fuel
                i32.const 1
                i32.sub
                local.set $fuel
                i64.const 65544
                local.set $slot1
                i32.const 65560
                local.set $pc
                local.get $fuel
                i32.const 524160
                local.get $depth
                i32.sub
                i32.or
                i32.const 0
                i32.lt_s
                if ;; @8
                  local.get $pc
                  br 5 (;@3;)
                end
                i32.const 0
                local.get $slot1
                i64.store offset=8
                local.get $pc
                local.get $depth
                i32.const 128
                i32.add
                local.get $fuel
                i32.const 24
                call_indirect (type 1)
                local.set $fuel
                local.tee $pc
                i32.const 65544
                i32.ne
                br_if 6 (;@1;)
                local.get $fuel
                i32.const 0
                i32.lt_s
                if ;; @8
                  i32.const 65544
                  local.set $pc
                  br 7 (;@1;)
                end
                i32.const 0
                i64.load offset=88
                local.set $slot11
                local.get $fuel
                i32.const 1
                i32.sub
                local.set $fuel
                i64.const 65548
                local.set $slot1
                local.get $slot11
                i64.const -2
                i64.and
                local.tee $address
                i32.wrap_i64
                local.set $pc
                local.get $address
                i64.const 31
                i64.shr_u
                i64.const 0
                i64.ne
                if ;; @8
                  i32.const 0
                  local.get $address
                  i64.store offset=65384
                  i32.const -1
                  br 5 (;@3;)
                end
                local.get $fuel
                i32.const 524160
                local.get $depth
                i32.sub
                i32.or
                i32.const 0
                i32.lt_s
                if ;; @8
                  local.get $pc
                  br 5 (;@3;)
                end
                local.get $pc
                i32.const 1
                i32.shr_u
                i32.const 4095
                i32.and
                i32.const 3
                i32.shl
                local.set $index
                local.get $index
                i32.load offset=1245184
                local.get $pc
                i32.ne
                if ;; @8
                  local.get $pc
                  br 5 (;@3;)
                end
                local.get $index
                i32.load offset=1245188
                local.set $index
                i32.const 0
                local.get $slot1
                i64.store offset=8
                local.get $pc
                local.get $depth
                i32.const 128
                i32.add
                local.get $fuel
                local.get $index
                call_indirect (type 1)
                local.set $fuel
                local.tee $pc
                i32.const 65548
                i32.ne
                br_if 6 (;@1;)
                local.get $fuel
                i32.const 0
                i32.lt_s
                if ;; @8
                  i32.const 65548
                  local.set $pc
                  br 7 (;@1;)
                end
                i32.const 0
                i64.load offset=80
                local.set $slot10
                i32.const 0
                i64.load offset=8
                local.set $slot1
                i32.const 0
                i64.load offset=96
                local.set $slot12
                br 1 (;@6;)
              end
              unreachable
            end
            local.get $fuel
            i32.const 3
            i32.sub
            local.set $fuel
            local.get $slot12
            i32.wrap_i64
            i32.eqz
            if (result i32) ;; @6
              i32.const -1
            else
              local.get $slot12
              i32.wrap_i64
              i32.const -1
              i32.eq
              if (result i32) ;; @7
                i32.const 0
                local.get $slot10
                i32.wrap_i64
                i32.sub
              else
                local.get $slot10
                i32.wrap_i64
                local.get $slot12
                i32.wrap_i64
                i32.div_s
              end
            end
            i64.extend_i32_s
            local.set $slot10
            local.get $slot12
            i64.eqz
            if (result i64) ;; @6
              i64.const -1
            else
              local.get $slot12
              i64.const -1
              i64.eq
              if (result i64) ;; @7
                i64.const 0
                local.get $slot10
                i64.sub
              else
                local.get $slot10
                local.get $slot12
                i64.div_s
              end
            end
            local.set $slot12
            local.get $slot1
            i64.const -2
            i64.and
            local.tee $address
            i32.wrap_i64
            local.set $pc
            local.get $address
            i64.const 31
            i64.shr_u
            i64.const 0
            i64.ne
            if ;; @6
              i32.const 0
              local.get $address
              i64.store offset=65384
              i32.const -1
              br 2 (;@4;)
            end
            local.get $pc
            local.get $depth
            br_if 1 (;@4;)
            br 0 (;@5;)
            unreachable
          end
          local.set $pc
          i32.const 0
          local.get $slot10
          i64.store offset=80
          i32.const 0
          local.get $slot12
          i64.store offset=96
          local.get $fuel
          i32.const 0
          i32.lt_s
          br_if 3 (;@1;)
          local.get $pc
          i32.const 1
          i32.shr_u
          i32.const 4095
          i32.and
          i32.const 3
          i32.shl
          local.set $index
          local.get $index
          i32.load offset=1245184
          local.get $pc
          i32.ne
          if ;; @5
            local.get $pc
            local.set $pc
            br 4 (;@1;)
          end
          local.get $index
          i32.load offset=1245188
          local.set $index
          local.get $pc
          local.get $depth
          local.get $fuel
          local.get $index
          return_call_indirect (type 1)
        end
        local.set $pc
        i32.const 0
        local.get $slot10
        i64.store offset=80
        i32.const 0
        local.get $slot12
        i64.store offset=96
        br 2 (;@1;)
      end
      local.set $pc
      i32.const 0
      local.get $slot1
      i64.store offset=8
      br 1 (;@1;)
    end
    local.set $pc
    br 0 (;@1;)
  end
  local.get $pc
  local.get $fuel)
